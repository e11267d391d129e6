/*
 * The sender that the next host is told. Where mail is forwarded from here to elsewhere it is one
 * of this host's, at control/srsdomain, which stands for the sender that it had (lib/srs.h): so it
 * passes where the next host asks who may send for a domain (RFC 7208), and its bounces come back
 * by way of here.
 *
 * Really forwarded is what somebody's .qmail, or an alias, has sent on: the message begins with
 * qmail-queue's line that says so and the Delivered-To of who did, in front of all that a client
 * has sent. What a client sends outwards, a bounce, mail between our own domains
 * (control/rcpthosts), and mail of our own people keep their sender.
 */
#ifndef REMOTE_FORWARDED_H
#define REMOTE_FORWARDED_H

#include "lib/str.h"

/*
 * Sets sender to what to say for the message on descriptor 0, at its present offset, which stays.
 * host is the recipients' domain. False with errno; *name is then the control file that is needed
 * and can't be used.
 */
bool forwarded_sender(struct str *sender, const char *given, const char *host, const char **name);

/* Whether the first lines of a message, perhaps cut off, are those of one that was sent on. */
bool forwarded_begins(const char *bytes, size_t len);

#endif
