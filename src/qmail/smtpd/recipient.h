/*
 * What a recipient of ours has been given beside its existence: users/recipients.cdb,
 *qmail-users(5). Its words, each ended by NUL, under the keys of bykey.h:
 *
 *	until DAY	the last day of an address, in days since 1970 (UTC)
 *	quota UID	whose mailbox it is: users/quotas.cdb has its limit, users/full/UID what is
 *used list ADDRESS	users/lists.cdb says who may send to it spam POINTS	(or "off") the
 *mailbox's own threshold of the spam filter, instead of the site's
 *
 * A message has one threshold, so recipients of two have two messages: the second one gets 452, and
 * its sender comes again (RFC 5321 section 4.5.3.1.10).
 */
#ifndef SMTPD_RECIPIENT_H
#define SMTPD_RECIPIENT_H

#include "smtpd/session.h"

/* What stands against a whole address (bykey.h) that exists; NULL for nothing. */
const char *recipient_objection(struct session *s, const struct str *whole);

/* No word has been looked for: a recipient elsewhere, which has the site's threshold. */
const char *recipient_plain(struct session *s);

/* Puts the transaction's threshold into the environment of what queues it, as SPAMTHRESHOLD. */
void recipient_announce(const struct session *s);

#endif
