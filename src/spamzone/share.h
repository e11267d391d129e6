/*
 * A share of the scanner for each client: a table of slots in a file, one for each scan that may
 * go on at a time, and who has it.
 *
 * A slot is had by a lock on it, which the kernel takes away when its process ends, however it
 * ends. So nothing is to be cleaned up, and what a slot's record says counts only while it is
 * locked.
 *
 * Who finds no slot for himself waits in a queue, in the same file and by the same means (queue.h).
 * Whoever came first has the next slot, among those who may have one: a client that has its share
 * is in nobody's way, and keeps its place. For each who may have one and doesn't take it, a slot
 * is left free, as if he had it; so who never looks again, or only says that he waits, takes no
 * more from others than who keeps a slot. Beyond QUEUE_MAX who are waiting, the others are behind
 * all these, and have no order.
 */
#ifndef SHARE_H
#define SHARE_H

#include <stdbool.h>

enum {
	SLOTS_MAX = 256,
};

struct share {
	const char *directory; /* where the table is, and where it is made */
	unsigned slots;        /* for all, at most SLOTS_MAX */
	unsigned client;       /* of them, for one address; of IPv6, for one /64 */
	unsigned seconds;      /* to wait for one */
	const char *address;   /* the client's, or NULL: all unknown ones are one client */
	bool exempt;           /* bound by the slots for all alone */
};

/*
 * Waits for a slot and takes it. Returns a descriptor that holds it until it is closed, or -1
 * with errno EAGAIN (all are taken, or others came before), EUSERS (the client has its share; its
 * network, a /24 or a /48, may have all slots but one), EBUSY (somebody keeps the table for
 * himself; then it waits no longer than two seconds) or what opening or writing the table said.
 */
int share_take(const struct share *share);

#endif
