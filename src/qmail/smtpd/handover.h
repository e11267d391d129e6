/*
 * What a session that becomes qmail-smtpd-full takes along, in one environment variable: its limits
 * with what it has used of them, so that STARTTLS gives nobody a second share; and its greeting,
 * for a session that goes on in the clear after a 454. A transaction doesn't go along, nor what was
 * read ahead.
 */
#ifndef SMTPD_HANDOVER_H
#define SMTPD_HANDOVER_H

#include "smtpd/session.h"

/* False: there was no memory for it. */
bool handover_give(const struct session *s);
/* As if it had not been given. */
void handover_withdraw(void);
/* Takes it out of the environment. False: there is none. What isn't whole ends the session. */
bool handover_take(struct session *s);

#endif
