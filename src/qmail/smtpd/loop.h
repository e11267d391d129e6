/* Loops that can be foreseen while the session is open, so that no bounce is made for them. */
#ifndef SMTPD_LOOP_H
#define SMTPD_LOOP_H

#include "smtpd/policy.h"

/*
 * Whether one of the recipients would be delivered to an address that delivered, the message's
 * Delivered-To fields, names already: qmail-local refuses such a message. What a recipient leads
 * to is itself as qmail-send routes it, and what control/aliastargets says of that. Both lists
 * have a NUL behind each address. UNKNOWN: a control file can't be read.
 */
enum verdict loop_foreseen(const struct str *recipients, const struct str *delivered);

#endif
