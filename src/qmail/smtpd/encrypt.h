/*
 * TLS on the session's connection, and the two programs that qmail-smtpd is.
 *
 * What each connection starts is a small program: it has neither OpenSSL nor libidn2, so that it
 * can be linked without anything that is dear to start (docs/performance.md). A session that needs
 * one of them is carried on by qmail-smtpd-full, which the same process becomes: where STARTTLS is
 * said or SMTPS stands in the environment, and where a domain of ours has letters beyond ASCII.
 * Both programs are the same sources but for these functions: encrypt.c is what qmail-smtpd-full
 * does, become_full.c what the small one does in its place.
 */
#ifndef SMTPD_ENCRYPT_H
#define SMTPD_ENCRYPT_H

#include "smtpd/session.h"

/*
 * In front of the greeting: TLS from the first byte where it is wanted, or what a STARTTLS to the
 * small program has begun. False: the session goes on, without a greeting. A failure of TLS is its
 * end.
 */
bool encrypt_begin(struct session *s);

/* STARTTLS has been said, as it may be: 220 and the handshake, or 454 and the session as it was. */
void encrypt_session(struct session *s);

#endif
