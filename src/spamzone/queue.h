/*
 * Who waits for a slot, and since when: records in a part of the table of slots (share.h).
 *
 * As with a slot, a record counts only while it is locked: who has left, or was killed, is in
 * nobody's way. All of this is done while the table is the caller's alone.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <netinet/in.h>
#include <sys/types.h>

enum {
	QUEUE_MAX = 128, /* more than the sessions that a door has at a time by default */
	ADDRESS = sizeof(struct in6_addr),
};

struct waiter {
	long long came; /* milliseconds, of now.h */
	unsigned char address[ADDRESS];
	unsigned char exempt; /* as in struct share; the file is nobody's to trust */
	unsigned char unused[7];
};

/*
 * Finds those who came before this moment and still wait, the first of them first. Returns how
 * many. What the file doesn't have, or not whole, waits for nothing.
 */
unsigned queue_before(int fd, off_t table, long long moment, struct waiter found[QUEUE_MAX]);

/* Registers one who waits. Returns where, or -1: there is no room, or it can't be written. */
off_t queue_join(int fd, off_t table, const struct waiter *who);

/* Clears the record, too, so that nobody has to ask about its lock. Where it is -1, nothing. */
void queue_leave(int fd, off_t where);

#endif
