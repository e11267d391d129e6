/* The command STARTTLS (RFC 3207). */
#ifndef SMTPD_STARTTLS_H
#define SMTPD_STARTTLS_H

#include "smtpd/session.h"

/* The file with the certificate, its chain and, unless that has one of its own, the key. */
const char *starttls_certificate(const struct session *s);
/* STARTTLS can be offered: a certificate is readable and nothing encrypts yet. */
bool starttls_offered(const struct session *s);
/* The command, with its argument's length: replies, switches, forgets everything. */
void starttls_command(struct session *s, size_t argument_len);

#endif
