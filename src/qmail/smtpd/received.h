/* The Received field that qmail-smtpd puts on top of a message. */
#ifndef SMTPD_RECEIVED_H
#define SMTPD_RECEIVED_H

#include "smtpd/session.h"

#include <time.h>

/*
 * Received: from HOST (HELO name) (user@address)
 *   by LOCAL with PROTOCOL; date
 *
 * HELO stands there when it differs from the host's name, user when it is known. PROTOCOL
 * is SMTP, ESMTP, ESMTPS, ESMTPA or ESMTPSA (RFC 3848), with the version of TLS and the
 * cipher behind it. Bytes that could upset a reader of the field appear as '?'.
 */
void received_add(struct str *to, const struct session *s, time_t when);

#endif
