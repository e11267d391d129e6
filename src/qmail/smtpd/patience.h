/*
 * How long a client is waited for that has not yet shown what it wants: a connection that says
 * nothing, or says it a byte a minute, must not hold a place for long.
 *
 * Up to the first command a client has timeoutfirst seconds, up to the first recipient that is
 * accepted, or a log-in, timeoutlogin, all from the beginning; behind that smtpsessiontime. These
 * are ends, not pauses: what the client does meanwhile moves none of them.
 *
 * Of the last places, which tcpserver says, a stranger has one for timeoutcrowded seconds, and as
 * many more from each message that is accepted: whoever holds a place there gives it to others,
 * or brings mail.
 */
#ifndef SMTPD_PATIENCE_H
#define SMTPD_PATIENCE_H

#include "smtpd/session.h"

/* The session begins, with its last end in s->chan.deadline. */
void patience_begin(struct session *s);

/* A message has been accepted. */
void patience_renew(struct session *s);

/* Before each wait for the client: sets s->chan.deadline. */
void patience_hold(struct session *s);

#endif
