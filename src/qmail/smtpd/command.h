/*
 * SMTP command lines: RFC 5321 sections 2.4 and 4.1.1. Pure functions over bytes.
 */
#ifndef SMTPD_COMMAND_H
#define SMTPD_COMMAND_H

#include <stddef.h>

enum verb {
	VERB_UNKNOWN,
	VERB_HELO,
	VERB_EHLO,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_RSET,
	VERB_NOOP,
	VERB_QUIT,
	VERB_HELP,
	VERB_VRFY,
	VERB_AUTH,
	VERB_STARTTLS
};

/*
 * The verb of a line that has lost its CRLF, in any case of letters. *argument and
 * *argument_len give what stands behind it without blanks around.
 */
enum verb command_parse(const char *line, size_t len, const char **argument, size_t *argument_len);

enum line_fault {
	LINE_FINE,
	LINE_BARE_LF, /* the LF that ended it had no CR before it */
	LINE_BARE_CR, /* a CR inside */
	LINE_CONTROL  /* NUL or another control character but the tab */
};
/* Judges a line as read up to its LF (which is not part of it); *len loses the CR. */
enum line_fault line_check(const char *line, size_t *len);

#endif
