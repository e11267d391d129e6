/*
 * Recipients at control/srsdomain whose local part stands for another address: the senders of mail
 * that was forwarded from here, to whom something comes back (lib/srs.h). The keys are in
 * control/srskeyin.
 */
#ifndef SMTPD_RETURNED_H
#define SMTPD_RETURNED_H

#include "smtpd/session.h"

/*
 * Replaces such an address by the one that it stands for; *returned is then true: it has been
 * signed here, and may be one of another host. NULL, or what stands against it.
 */
const char *returned_take(const struct session *s, struct str *address, bool *returned);

#endif
