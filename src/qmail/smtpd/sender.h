/*
 * Who has authenticated sends as himself: users/senders.cdb says which mailboxes may send as an
 * address, and until when, under the keys of bykey.h, and under * those that may send as anybody
 * (qmail-users(5)). Each address of the envelope and of the From field is judged (RFC 6409
 * section 6.1). Where there is no such table nothing is.
 */
#ifndef SMTPD_SENDER_H
#define SMTPD_SENDER_H

#include "smtpd/authors.h"
#include "smtpd/session.h"

/* What stands against MAIL FROM; NULL for nothing. Sets s->judged where the From field is to be. */
const char *sender_objection(struct session *s, const struct str *address);

/* The same for what a message says it is from, after authors_end. */
const char *sender_authors_objection(struct session *s, const struct authors *authors);

#endif
