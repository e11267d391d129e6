/* POP3 command lines: see command.h. */
#include "pop3/command.h"

#include "lib/str.h"

#include <limits.h>
#include <string.h>

static const struct {
	const char *name;
	enum pop3_verb verb;
} verbs[] = {
    {"USER", POP3_USER},
    {"PASS", POP3_PASS},
    {"APOP", POP3_APOP},
    {"CAPA", POP3_CAPA},
    {"QUIT", POP3_QUIT},
    {"STAT", POP3_STAT},
    {"LIST", POP3_LIST},
    {"RETR", POP3_RETR},
    {"DELE", POP3_DELE},
    {"NOOP", POP3_NOOP},
    {"RSET", POP3_RSET},
    {"TOP", POP3_TOP},
    {"UIDL", POP3_UIDL},
};

static enum pop3_verb
find_verb(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (word_is(name, len, verbs[i].name))
			return verbs[i].verb;
	return POP3_UNKNOWN;
}

static size_t
read_number(const char *text, size_t len, unsigned long *number)
{
	size_t at;

	*number = 0;
	for (at = 0; at < len && text[at] >= '0' && text[at] <= '9'; at++) {
		unsigned long digit = (unsigned long)(text[at] - '0');

		*number = *number > (ULONG_MAX - digit) / 10 ? ULONG_MAX : *number * 10 + digit;
	}
	return at;
}

static void
read_numbers(const char *text, size_t len, struct pop3_command *command)
{
	size_t at = 0;

	while (at < len && !command->malformed) {
		size_t digits;

		if (text[at] == ' ') {
			at++;
			continue;
		}
		if (command->numbers == 2) {
			command->malformed = true;
			break;
		}
		digits = read_number(text + at, len - at, &command->number[command->numbers++]);
		at += digits;
		command->malformed = !digits || (at < len && text[at] != ' ');
	}
}

void
pop3_parse(const char *line, size_t len, struct pop3_command *command)
{
	const char *blank;
	size_t name;

	*command = (struct pop3_command){.verb = POP3_UNKNOWN};
	if (len && line[len - 1] == '\r')
		len--;
	blank = len ? memchr(line, ' ', len) : NULL;
	name = blank ? (size_t)(blank - line) : len;
	command->verb = find_verb(line, name);
	command->text = line + (blank ? name + 1 : name);
	command->text_len = len - (size_t)(command->text - line);
	if (command->verb != POP3_USER && command->verb != POP3_PASS)
		read_numbers(command->text, command->text_len, command);
}
