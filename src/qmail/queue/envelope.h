/*
 * The envelope as qmail-queue takes it: F sender NUL, one or more T recipient NUL, NUL.
 * A checker, fed piece by piece, that keeps no address.
 */
#ifndef QUEUE_ENVELOPE_H
#define QUEUE_ENVELOPE_H

#include <stddef.h>

#define ENVELOPE_ADDRESS_MAX 1003 /* bytes of an address, without letter and NUL */

enum envelope_state {
	ENVELOPE_SENDER,    /* F comes next */
	ENVELOPE_RECIPIENT, /* T comes next, or the end */
	ENVELOPE_ADDRESS,   /* within an address */
	ENVELOPE_DONE,
	ENVELOPE_LONG,     /* an address above the limit */
	ENVELOPE_MALFORMED /* another letter, or no recipient */
};

struct envelope {
	enum envelope_state state; /* ENVELOPE_SENDER at first */
	size_t address;            /* length of the current one */
	unsigned long long recipients;
};

/*
 * Goes through the next bytes until the envelope is done or turns out to be wrong; returns
 * how many of them belong to it, without the NUL at its end. Bytes behind the end are left.
 */
size_t envelope_feed(struct envelope *envelope, const char *bytes, size_t len);

#endif
