/*
 * POP3 command lines: RFC 1939 section 3, RFC 2449 section 4. A pure function over bytes.
 */
#ifndef POP3_COMMAND_H
#define POP3_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#define POP3_LINE_MAX 512 /* longest command line; RFC 2449 asks for 255 */

enum pop3_verb {
	POP3_UNKNOWN,
	POP3_USER,
	POP3_PASS,
	POP3_APOP,
	POP3_CAPA,
	POP3_QUIT,
	POP3_STAT,
	POP3_LIST,
	POP3_RETR,
	POP3_DELE,
	POP3_NOOP,
	POP3_RSET,
	POP3_TOP,
	POP3_UIDL
};

struct pop3_command {
	enum pop3_verb verb;
	const char *text; /* the whole argument, as it was sent (blanks count in a password) */
	size_t text_len;
	unsigned numbers;        /* how many numbers the argument is, 0 to 2 */
	unsigned long number[2]; /* one that does not fit is beyond every count */
	bool malformed;          /* the argument is something else than up to two numbers */
};

/* line has lost its LF; a CR at its end does not count. */
void pop3_parse(const char *line, size_t len, struct pop3_command *command);

#endif
