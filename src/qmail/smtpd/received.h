/* The Received field that qmail-smtpd puts on top of a message. */
#ifndef SMTPD_RECEIVED_H
#define SMTPD_RECEIVED_H

#include "smtpd/session.h"

#include <time.h>

/*
 * Received: from HELO (HOST [ADDRESS])
 *   by LOCAL with PROTOCOL (authenticated as USER) (envelope-from <SENDER>); date
 *
 * HOST and ADDRESS, which is [192.0.2.1] or [IPv6:2001:db8::1], are what is known of the client
 * (RFC 5321 section 4.4), "unknown" where they are not. USER stands there after a log-in, "ident"
 * with what TCPREMOTEINFO says otherwise, SENDER where it is not null. PROTOCOL is SMTP, ESMTP,
 * ESMTPS, ESMTPA or ESMTPSA (RFC 3848), with the version of TLS and the cipher behind it.
 *
 * Of a client that has authenticated the field tells nothing, unless control/receivedclient says
 * so: it is "from authenticated", without HELO, HOST, ADDRESS and USER.
 *
 * No word that a client has chosen can be taken for another part of the field: bytes that could
 * upset a reader appear as '?', brackets are left in a HELO that is an address and nothing else.
 */
void received_add(struct str *to, const struct session *s, time_t when);

#endif
