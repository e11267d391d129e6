/*
 * What is taken out of the header of a message of our own: nothing but whole fields of that one
 * name, the same in pieces of any size, and all of it at once. The first byte is the size of the
 * pieces.
 */
#include "fuzz/fuzz.h"
#include "lib/authserv.h"
#include "smtpd/results.h"

#include <string.h>

static void
take_out(struct str *to, const char *bytes, size_t len, size_t piece)
{
	struct results results;
	size_t at;

	results_start(&results);
	str_set(&results.ours, "mx.example");
	str_clear(to);
	for (at = 0; at < len; at += piece) {
		const size_t part = len - at < piece ? len - at : piece;
		const size_t used = results_feed(&results, bytes + at, part, to);

		MUST(used <= part && (used == part || results.over));
		str_add_bytes(to, bytes + at + used, part - used);
	}
	results_end(&results, to);
	results_free(&results);
}

static size_t
line_length(const char *bytes, size_t len)
{
	const char *stop = memchr(bytes, '\n', len);

	return stop ? (size_t)(stop - bytes) + 1 : len;
}

static bool
is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || !byte;
}

static bool
is_field(const char *line, size_t len)
{
	return len >= strlen(AUTHSERV_FIELD) &&
	       word_is(line, strlen(AUTHSERV_FIELD), AUTHSERV_FIELD);
}

/* Line by line: what of whole isn't in kept is such a field's, or goes on one. */
static void
compare(const struct str *kept, const char *whole, size_t len)
{
	size_t at, there = 0, line;

	for (at = 0; at < len; at += line) {
		line = line_length(whole + at, len - at);
		if (kept->len - there >= line && !memcmp(kept->s + there, whole + at, line))
			there += line;
		else
			MUST(is_blank(whole[at]) || is_field(whole + at, line));
	}
	MUST(there == kept->len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct str whole = STR_INIT, pieces = STR_INIT, again = STR_INIT;
	const char *message = (const char *)bytes + 1;
	size_t piece;

	if (!len)
		return 0;
	piece = bytes[0];
	len--;
	take_out(&whole, message, len, len ? len : 1);
	take_out(&pieces, message, len, piece ? piece : 256);
	take_out(&again, whole.s, whole.len, whole.len ? whole.len : 1);
	MUST(str_equal_str(&whole, &pieces));
	MUST(str_equal_str(&whole, &again));
	compare(&whole, message, len);
	return 0;
}
