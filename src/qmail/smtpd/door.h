/*
 * What is asked of a stranger before anything of its mail is taken: that it waits for the greeting
 * (control/greetdelay), that it doesn't say that it is us and says who it is (control/helocheck),
 * that its address has a name (control/reversecheck). Who may relay, who has authenticated and who
 * comes from this host's own addresses isn't judged.
 */
#ifndef SMTPD_DOOR_H
#define SMTPD_DOOR_H

#include "smtpd/session.h"

/* Waits before the greeting. Whoever speaks meanwhile is told so, and the session ends. */
void door_wait(struct session *s);

/* The refusal of every recipient, or NULL. The DNS is asked once for a name and for the client. */
const char *door_objection(struct session *s);

#endif
