/* Header fields: see field.h. */
#include "field.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SPAM_NAME "X-Spam-"
#define SPAM_LENGTH (sizeof SPAM_NAME - 1)

void
bytes_add(struct bytes *to, const void *from, size_t length)
{
	if (!length)
		return;
	if (to->room - to->length < length) {
		size_t room = to->room ? to->room : 4096;

		while (room - to->length < length) {
			if (room > ((size_t)1 << 30))
				_exit(111);
			room *= 2;
		}
		to->at = realloc(to->at, room);
		if (!to->at)
			_exit(111);
		to->room = room;
	}
	memcpy(to->at + to->length, from, length);
	to->length += length;
}

void
bytes_text(struct bytes *to, const char *text)
{
	bytes_add(to, text, strlen(text));
}

static void
strip_byte(struct strip *s, char c, struct bytes *to)
{
	switch (s->state) {
	case STRIP_START:
		if (c == ' ' || c == '\t') {
			s->state = s->dropping ? STRIP_DROP : STRIP_KEEP;
			if (!s->dropping)
				bytes_add(to, &c, 1);
			return;
		}
		s->length = 0;
		s->state = STRIP_NAME;
		/* FALLTHROUGH */
	case STRIP_NAME:
		s->name[s->length++] = c;
		if (c == '\n') {
			/* A line of nothing, or of a CR. */
			bool end = s->length == 1 || (s->length == 2 && s->name[0] == '\r');

			bytes_add(to, s->name, s->length);
			s->state = end ? STRIP_BODY : STRIP_START;
			s->dropping = false;
		} else if (strncasecmp(s->name, SPAM_NAME, s->length)) {
			/* A CR alone so far may still be the end of the header. */
			if (s->length == 1 && c == '\r')
				return;
			bytes_add(to, s->name, s->length);
			s->state = STRIP_KEEP;
			s->dropping = false;
		} else if (s->length == SPAM_LENGTH) {
			s->state = STRIP_DROP;
			s->dropping = true;
		}
		return;
	case STRIP_KEEP:
		bytes_add(to, &c, 1);
		if (c == '\n')
			s->state = STRIP_START;
		return;
	case STRIP_DROP:
		if (c == '\n')
			s->state = STRIP_START;
		return;
	case STRIP_BODY: bytes_add(to, &c, 1); return;
	}
}

void
strip_feed(struct strip *strip, const char *piece, size_t length, struct bytes *to)
{
	size_t i;

	for (i = 0; i < length && strip->state != STRIP_BODY; i++)
		strip_byte(strip, piece[i], to);
	if (i < length)
		bytes_add(to, piece + i, length - i);
}

void
strip_finish(struct strip *strip, struct bytes *to)
{
	if (strip->state == STRIP_NAME)
		bytes_add(to, strip->name, strip->length);
	strip->state = STRIP_BODY;
}

/* The length of the line at the start of text, its LF included. */
static size_t
line_length(const char *text, size_t length)
{
	const char *end = memchr(text, '\n', length);

	return end ? (size_t)(end - text) + 1 : length;
}

bool
ends_header(const char *line, size_t length)
{
	return (length == 1 && line[0] == '\n') || (length == 2 && !memcmp(line, "\r\n", 2));
}

size_t
field_length(const char *text, size_t length)
{
	size_t all = line_length(text, length);

	if (!length || ends_header(text, all))
		return 0;
	while (all < length && (text[all] == ' ' || text[all] == '\t'))
		all += line_length(text + all, length - all);
	return all;
}

static bool
is_field(const char *text, size_t length, const char *name)
{
	size_t wanted = strlen(name);

	return length >= wanted && !strncasecmp(text, name, wanted);
}

size_t
header_length(const char *message, size_t length)
{
	size_t at = 0, field;

	while (at < length && (field = field_length(message + at, length - at)))
		at += field;
	return at;
}

bool
find_field(
    const char *header, size_t length, const char *name, const char **value, size_t *value_length)
{
	size_t at = 0, field;

	while (at < length && (field = field_length(header + at, length - at))) {
		if (is_field(header + at, field, name)) {
			*value = header + at + strlen(name);
			*value_length = field - strlen(name);
			return true;
		}
		at += field;
	}
	return false;
}

void
take_spam_fields(const char *message, size_t length, struct bytes *to)
{
	size_t at = 0, field;

	while (at < length && (field = field_length(message + at, length - at))) {
		if (is_field(message + at, field, SPAM_NAME))
			bytes_add(to, message + at, field);
		at += field;
	}
}

bool
read_thousandths(const char *text, size_t length, long *value)
{
	bool negative = length && text[0] == '-';
	size_t i = negative ? 1 : 0, digits = 0;
	int decimals = -1;
	long sum = 0;

	for (; i < length; i++) {
		if (text[i] == '.' && decimals < 0) {
			decimals = 0;
			continue;
		}
		if (text[i] < '0' || text[i] > '9' || sum > 100000000 || decimals == 3)
			return false;
		sum = sum * 10 + (text[i] - '0');
		digits++;
		if (decimals >= 0)
			decimals++;
	}
	if (!digits || decimals == 0)
		return false;
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
		sum *= 10;
	if (sum > 1000000000)
		return false;
	*value = negative ? -sum : sum;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word between blanks; false at the end. */
static bool
next_word(const char *text, size_t length, size_t *at, const char **word, size_t *word_length)
{
	while (*at < length && is_blank(text[*at]))
		(*at)++;
	*word = text + *at;
	while (*at < length && !is_blank(text[*at]))
		(*at)++;
	*word_length = (size_t)(text + *at - *word);
	return *word_length > 0;
}

/* Whether one of the names, which commas separate, is the one that says that not all was looked at.
 */
static bool
says_incomplete(const char *names, size_t length)
{
	static const char name[] = "TIME_LIMIT_EXCEEDED";
	size_t at = 0;

	while (at < length) {
		const char *comma = memchr(names + at, ',', length - at);
		size_t end = comma ? (size_t)(comma - names) : length;

		if (end - at == sizeof name - 1 && !memcmp(names + at, name, end - at))
			return true;
		at = end + 1;
	}
	return false;
}

static void
add_rules(struct verdict *v, const char *word, size_t length)
{
	size_t have = strlen(v->rules), i;

	/* Looked for in all of them, of which only the first are kept. */
	v->incomplete = v->incomplete || says_incomplete(word, length);
	if (have + length >= sizeof v->rules)
		return;
	for (i = 0; i < length; i++) {
		char c = word[i];

		v->rules[have + i] = c > ' ' && c <= '~' ? c : '?';
	}
	v->rules[have + length] = 0;
}

static bool
read_words(const char *text, size_t length, struct verdict *v)
{
	bool scored = false, limited = false, in_rules = false;
	const char *word;
	size_t at = 0, word_length;

	if (!next_word(text, length, &at, &word, &word_length))
		return false;
	v->spam = is_field(word, word_length, "Yes");
	if (!v->spam && !is_field(word, word_length, "No"))
		return false;
	v->rules[0] = 0;
	v->incomplete = false;
	while (next_word(text, length, &at, &word, &word_length)) {
		if (is_field(word, word_length, "score=")) {
			scored = read_thousandths(word + 6, word_length - 6, &v->score);
			in_rules = false;
		} else if (is_field(word, word_length, "required=")) {
			limited = read_thousandths(word + 9, word_length - 9, &v->required);
			in_rules = false;
		} else if (is_field(word, word_length, "tests=")) {
			add_rules(v, word + 6, word_length - 6);
			in_rules = true;
		} else if (in_rules && !memchr(word, '=', word_length)) {
			add_rules(v, word, word_length); /* a folded list goes on */
		} else {
			in_rules = false;
		}
	}
	return scored && limited;
}

bool
read_verdict(const char *fields, size_t length, struct verdict *verdict)
{
	static const char name[] = "X-Spam-Status:";
	size_t at = 0, field;
	bool found = false;

	while (at < length && (field = field_length(fields + at, length - at))) {
		if (is_field(fields + at, field, name)) {
			size_t skip = sizeof name - 1;

			if (found || !read_words(fields + at + skip, field - skip, verdict))
				return false;
			found = true;
		}
		at += field;
	}
	return found;
}

void
mark_subject(const char *message, size_t length, const char *prefix, struct bytes *to)
{
	static const char name[] = "Subject:";
	size_t at = 0, field = 0, words = sizeof name - 1;

	while (at < length && (field = field_length(message + at, length - at)) &&
	       !is_field(message + at, field, name))
		at += field;
	bytes_add(to, message, at);
	if (at == length || !field) {
		bytes_text(to, "Subject: ");
		bytes_text(to, prefix);
		bytes_text(to, "\n");
	} else {
		while (words < field && (message[at + words] == ' ' || message[at + words] == '\t'))
			words++;
		bytes_text(to, "Subject: ");
		if (!is_field(message + at + words, field - words, prefix))
			bytes_text(to, prefix);
		at += words;
	}
	if (at < length)
		bytes_add(to, message + at, length - at);
}
