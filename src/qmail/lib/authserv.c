/* Whose an Authentication-Results field is: see authserv.h. */
#include "lib/authserv.h"

#include "lib/str.h"

#include <string.h>
#include <strings.h>

struct reading {
	struct str said; /* the name and what else is in front of the first semicolon */
	size_t blanks;   /* that count only if more of a word follows */
	unsigned long depth;
	bool quoted, escaped, beyond, over;
};

static bool
is_blank(char byte)
{
	return byte && strchr(" \t\v\f\r\x1c\x1d\x1e\x1f", byte);
}

static bool
is_word(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || (byte && strchr("_-", byte));
}

/* Blanks around dots and at the ends are none; NUL and backslashes nobody sees. */
static void
keep(struct reading *r, char byte)
{
	const bool behind_word = r->said.len && r->said.s[r->said.len - 1] != '.';

	if (!byte || byte == '\\')
		return;
	if (is_blank(byte)) {
		r->blanks += behind_word;
		return;
	}
	r->over = byte == ';';
	r->beyond |= (unsigned char)byte > 0x7f;
	if (r->over)
		return;
	if (r->blanks && byte != '.')
		str_add_char(&r->said, ' ');
	r->blanks = 0;
	str_add_char(&r->said, byte);
}

/* Comments are left out, and of quotes their marks. */
static void
take(struct reading *r, char byte)
{
	if (r->escaped) {
		r->escaped = false;
		if (!r->depth)
			keep(r, byte);
	} else if (byte == '\\' && (r->depth || r->quoted)) {
		r->escaped = true;
	} else if (byte == '"' && !r->depth) {
		r->quoted = !r->quoted;
	} else if (r->quoted) {
		keep(r, byte);
	} else if (byte == '(') {
		r->depth++;
	} else if (byte == ')' && r->depth) {
		r->depth--;
	} else if (!r->depth) {
		keep(r, byte);
	}
}

/* The name, and not the end or the begin of a longer one. */
static bool
is_named(const struct str *said, const char *name)
{
	const size_t len = strlen(name);
	size_t at;

	for (at = 0; len && at + len <= said->len; at++) {
		const char *end = said->s + at + len; /* a NUL ends them all */

		if (strncasecmp(said->s + at, name, len) != 0)
			continue;
		if (at && (is_word(said->s[at - 1]) || said->s[at - 1] == '.'))
			continue;
		if (!is_word(*end) &&
		    !(*end == '.' && is_word(end[1]) && end[1] != '_' && end[1] != '-'))
			return true;
	}
	return false;
}

bool
authserv_claims(const char *value, size_t len, const char *name)
{
	struct reading r = {.said = STR_INIT};
	bool claims;
	size_t at;

	for (at = 0; at < len && at < AUTHSERV_MAX && !r.over; at++)
		if (value[at] != '\n')
			take(&r, value[at]);
	claims = !r.said.len || r.beyond || is_named(&r.said, name);
	str_free(&r.said);
	return claims;
}
