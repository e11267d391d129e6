/*
 * What lies in a queue: entries that no message accounts for, that are somebody else's or in
 * another place than their number says, and messages that should have left the queue.
 *
 * The queue may be at work meanwhile. What a message leaves out for a moment while it goes
 * from one state to the next is no fault, and neither is what the daily clean-up removes.
 */
#ifndef QUEUE_CONTENTS_H
#define QUEUE_CONTENTS_H

#include "lib/identity.h"

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#define CONTENTS_MOST 100 /* sentences; of the others only their number is told */

struct contents {
	int home; /* the directory that has queue/ in it */
	const uid_t *owners;
	time_t lifetime; /* of a message, in seconds */
	void (*tell)(const char *path, const char *text);
};

/*
 * Tells each fault; *faults is how many there are. False, with errno and where it was, if a
 * directory can't be read.
 */
bool contents_check(const struct contents *c, unsigned long *faults, const char **where);

#endif
