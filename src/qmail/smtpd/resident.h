/*
 * TLS by qmail-tlsd, whose socket TLSD names (lib/tlsclient.h): this process has neither TLS nor
 * the key then, and its descriptors 0 and 1 become a socket of its own on which the session goes
 * on.
 */
#ifndef SMTPD_RESIDENT_H
#define SMTPD_RESIDENT_H

#include "smtpd/session.h"

/* STARTTLS has been said, as it may be: 220 and the handshake, or 454 and the session as it was. */
void resident_session(struct session *s);
/* From the first byte, before the greeting; a failure is the end of the session. */
void resident_at_once(struct session *s);

#endif
