/* Envelope addresses, from qmail-remote's arguments to the words of MAIL and RCPT. */
#ifndef REMOTE_ENVELOPE_H
#define REMOTE_ENVELOPE_H

#include "lib/str.h"

/*
 * Adds the path <address> to a command, quoted as RFC 5321 section 4.1.2 asks. False, and
 * nothing added, for an address that can't be said: a control byte anywhere, a domain that
 * holds a byte which no domain has, or more than ADDR_MAX bytes. The sender of double
 * bounces, #@[], is the null path.
 */
bool envelope_add_path(struct str *command, const char *address);
/* Bytes above 127: to be said only with SMTPUTF8 (RFC 6531). */
bool envelope_is_international(const char *address);

#endif
