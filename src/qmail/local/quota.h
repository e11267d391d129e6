/* Whether a Maildir has room for a message, where its user has a quota: lib/maildirquota.h. */
#ifndef LOCAL_QUOTA_H
#define LOCAL_QUOTA_H

#include "lib/maildirquota.h"
#include "local/delivery.h"
#include "local/outcome.h"

struct room {
	bool limited;
	int maildir; /* that counts: the one delivered to, or what it is a folder of */
	struct quota quota;
};

/*
 * Whether there is room for the message in the Maildir with this descriptor: DONE, or LATER (it is
 * full) or NEVER (the message is larger than the whole quota) with a report. room_close in any
 * case.
 */
enum outcome room_ask(struct room *room, int maildir, const char *path, const struct delivery *d);

/* So many bytes have been delivered: counts them, and tells the user that it is getting full. */
void room_taken(struct room *room, unsigned long bytes, const struct delivery *d);

void room_close(struct room *room);

#endif
