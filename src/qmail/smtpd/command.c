/* SMTP command lines: see command.h. */
#include "smtpd/command.h"

#include "lib/str.h"

#include <string.h>

static const struct {
	const char *name;
	enum verb verb;
} verbs[] = {
    {"HELO", VERB_HELO},
    {"EHLO", VERB_EHLO},
    {"MAIL", VERB_MAIL},
    {"RCPT", VERB_RCPT},
    {"DATA", VERB_DATA},
    {"RSET", VERB_RSET},
    {"NOOP", VERB_NOOP},
    {"QUIT", VERB_QUIT},
    {"HELP", VERB_HELP},
    {"VRFY", VERB_VRFY},
    {"AUTH", VERB_AUTH},
    {"STARTTLS", VERB_STARTTLS},
};

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

enum verb
command_parse(const char *line, size_t len, const char **argument, size_t *argument_len)
{
	size_t name = 0, start, i;

	while (len && is_blank(line[len - 1]))
		len--;
	while (name < len && !is_blank(line[name]))
		name++;
	start = name;
	while (start < len && is_blank(line[start]))
		start++;
	*argument = line + start;
	*argument_len = len - start;
	for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (word_is(line, name, verbs[i].name))
			return verbs[i].verb;
	return VERB_UNKNOWN;
}

enum line_fault
line_check(const char *line, size_t *len)
{
	size_t i;

	if (!*len || line[*len - 1] != '\r')
		return LINE_BARE_LF;
	--*len;
	if (memchr(line, '\r', *len))
		return LINE_BARE_CR;
	for (i = 0; i < *len; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < 32 && c != '\t') || c == 127)
			return LINE_CONTROL;
	}
	return LINE_FINE;
}
