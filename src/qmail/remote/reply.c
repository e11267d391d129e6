/* Replies of an SMTP server: see reply.h. */
#include "remote/reply.h"

#include "lib/addr.h"

#include <limits.h>
#include <string.h>

void
reply_start(struct reply *reply)
{
	reply->code = reply->lines = 0;
	str_clear(&reply->text);
}

/* The code of a line, 0 where it has none. */
static unsigned
code_of(const char *line, size_t len)
{
	size_t i;

	if (len < 3 || line[0] < '2' || line[0] > '5')
		return 0;
	for (i = 1; i < 3; i++)
		if (line[i] < '0' || line[i] > '9')
			return 0;
	if (len > 3 && line[3] != ' ' && line[3] != '-')
		return 0;
	return (unsigned)((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
}

enum reply_state
reply_line(struct reply *reply, const char *line, size_t len)
{
	unsigned code;

	if (len && line[len - 1] == '\r')
		len--;
	code = code_of(line, len);
	if (!code || (reply->lines && code != reply->code))
		return REPLY_MALFORMED;
	if (reply->lines == REPLY_LINES || len > REPLY_LINE ||
	    reply->text.len + len + 1 > REPLY_BYTES)
		return REPLY_MALFORMED;
	reply->code = code;
	reply->lines++;
	add_printable(&reply->text, line, len, REPLY_LINE);
	str_add_char(&reply->text, '\n');
	return len > 3 && line[3] == '-' ? REPLY_MORE : REPLY_WHOLE;
}

/* The next word of a line: its start and length; length 0 at the end. */
static const char *
next_word(const char *at, const char *end, size_t *len)
{
	const char *stop;

	while (at < end && *at == ' ')
		at++;
	for (stop = at; stop < end && *stop != ' '; stop++)
		;
	*len = (size_t)(stop - at);
	return at;
}

static void
take_size(struct offers *offers, const char *word, size_t len)
{
	struct str digits = STR_INIT;

	str_set_bytes(&digits, word, len);
	offers->size = true;
	offers->size_limit = 0;
	number_parse(digits.s, ULONG_MAX, &offers->size_limit);
	str_free(&digits);
}

static void
take_mechanisms(struct offers *offers, const char *at, const char *end)
{
	size_t len;

	for (at = next_word(at, end, &len); len; at = next_word(at + len, end, &len)) {
		if (word_is(at, len, "PLAIN"))
			offers->auth_plain = true;
		else if (word_is(at, len, "LOGIN"))
			offers->auth_login = true;
	}
}

static void
take_line(struct offers *offers, const char *line, const char *end)
{
	size_t len, argument_len;
	const char *word = next_word(line, end, &len), *argument;

	argument = next_word(word + len, end, &argument_len);
	if (word_is(word, len, "SIZE"))
		take_size(offers, argument, argument_len);
	else if (word_is(word, len, "8BITMIME"))
		offers->eight_bit = true;
	else if (word_is(word, len, "STARTTLS"))
		offers->starttls = true;
	else if (word_is(word, len, "SMTPUTF8"))
		offers->smtputf8 = true;
	else if (word_is(word, len, "AUTH"))
		take_mechanisms(offers, argument, end);
}

void
offers_parse(struct offers *offers, const struct reply *reply)
{
	const char *line = reply->text.s, *end = line + reply->text.len;
	bool first = true;

	*offers = (struct offers){0};
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			return;
		if (!first && stop - line > 4)
			take_line(offers, line + 4, stop);
		first = false;
		line = stop + 1;
	}
}
