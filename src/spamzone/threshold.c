/* A threshold of the recipients' own: see threshold.h. */
#include "threshold.h"

#include <string.h>
#include <strings.h>

bool
read_threshold(const char *text, struct threshold *threshold)
{
	*threshold = (struct threshold){.kind = THRESHOLD_SITE};
	if (!text || !*text)
		return true;
	if (!strcmp(text, "off")) {
		threshold->kind = THRESHOLD_OFF;
		return true;
	}
	threshold->kind = THRESHOLD_OWN;
	return read_thousandths(text, strlen(text), &threshold->points);
}

static bool
begins(const char *text, size_t length, const char *name)
{
	return length >= strlen(name) && !strncasecmp(text, name, strlen(name));
}

/* Bytes up to a blank, or of blanks. */
static size_t
span(const char *text, size_t length, bool blanks)
{
	size_t i = 0;

	while (i < length && (memchr(" \t\r\n", text[i], 4) != NULL) == blanks)
		i++;
	return i;
}

/* "Yes," or "No,": all letters of it give way. */
static void
add_answer(const char *word, size_t length, bool spam, struct bytes *to)
{
	size_t letters = begins(word, length, "Yes") ? 3 : begins(word, length, "No") ? 2 : 0;

	bytes_text(to, spam ? "Yes" : "No");
	bytes_add(to, word + letters, length - letters);
}

static void
add_word(const char *word, size_t length, const char *required, struct bytes *to)
{
	static const char name[] = "required=";

	if (begins(word, length, name)) {
		bytes_add(to, word, sizeof name - 1);
		bytes_text(to, required);
	} else {
		bytes_add(to, word, length);
	}
}

static void
add_status(const char *field, size_t length, bool spam, const char *required, struct bytes *to)
{
	size_t at = strlen("X-Spam-Status:");
	bool first = true;

	bytes_add(to, field, at);
	while (at < length) {
		size_t blanks = span(field + at, length - at, true), word;

		bytes_add(to, field + at, blanks);
		at += blanks;
		word = span(field + at, length - at, false);
		if (first)
			add_answer(field + at, word, spam, to);
		else
			add_word(field + at, word, required, to);
		first = false;
		at += word;
	}
}

void
rejudge_fields(const struct bytes *fields, bool spam, const char *required, struct bytes *to)
{
	size_t at = 0, length;

	if (spam)
		bytes_text(to, "X-Spam-Flag: YES\n");
	while (
	    at < fields->length && (length = field_length(fields->at + at, fields->length - at))) {
		const char *field = fields->at + at;

		if (begins(field, length, "X-Spam-Status:"))
			add_status(field, length, spam, required, to);
		else if (!begins(field, length, "X-Spam-Flag:"))
			bytes_add(to, field, length);
		at += length;
	}
}
