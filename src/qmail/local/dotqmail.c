/* The lines of a .qmail file: see dotqmail.h. */
#include "local/dotqmail.h"

#include "lib/addr.h"

#include <string.h>

void
dotqmail_open(struct dotqmail *file, const char *bytes, size_t len)
{
	*file = (struct dotqmail){bytes, bytes + len, 0};
}

static void
take_line(struct dotqmail *file, struct str *line)
{
	size_t left = (size_t)(file->end - file->at);
	const char *stop = memchr(file->at, '\n', left);

	str_set_bytes(line, file->at, stop ? (size_t)(stop - file->at) : left);
	str_trim_end(line);
	file->at = stop ? stop + 1 : file->end;
	file->line++;
}

static bool
starts_address(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Drops the first byte. */
static void
behind_first(struct str *line)
{
	memmove(line->s, line->s + 1, line->len); /* with the NUL */
	line->len--;
}

static enum dot_kind
classify(struct str *line)
{
	char first = line->s[0], last = line->s[line->len - 1];

	if (str_has_nul(line))
		return DOT_MALFORMED;
	if (first == '/' || first == '.')
		return last == '/' ? DOT_MAILDIR : DOT_MBOX;
	if (starts_address(first))
		return addr_is_bare(line->s) ? DOT_FORWARD : DOT_MALFORMED;
	if (first == '|') {
		behind_first(line);
		return DOT_PROGRAM;
	}
	if (first == '&' && addr_is_bare(line->s + 1)) {
		behind_first(line);
		return DOT_FORWARD;
	}
	return DOT_MALFORMED;
}

enum dot_kind
dotqmail_next(struct dotqmail *file, struct str *argument)
{
	while (file->at < file->end) {
		take_line(file, argument);
		if (!argument->len && file->line == 1)
			return DOT_BLANK_FIRST;
		if (argument->len && argument->s[0] != '#')
			return classify(argument);
	}
	str_clear(argument);
	return DOT_END;
}
