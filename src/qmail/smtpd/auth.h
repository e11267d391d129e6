/* AUTH: RFC 4954, with PLAIN (RFC 4616) and LOGIN, through a password checker. */
#ifndef SMTPD_AUTH_H
#define SMTPD_AUTH_H

#include "smtpd/session.h"

#define AUTH_LINE_MAX 12288 /* RFC 4954 section 4.1 */

/* There is a checker, and the channel is encrypted: AUTH may be offered. */
bool auth_offered(const struct session *s);

/* The longest line that is taken now: a command may bring an initial response. */
size_t auth_line_max(const struct session *s);

/* The command: the whole exchange up to its last reply. */
void auth_command(struct session *s, const char *argument, size_t len);

#endif
