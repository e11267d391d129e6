/*
 * The table of hosts that recently timed out (queue/lock/tcpto), shared by every
 * qmail-remote, shown by qmail-tcpto and emptied by qmail-tcpok.
 *
 * The file is TCPTO_SLOTS slots of TCPTO_SLOT bytes each, so it never grows:
 *
 *	 0..15  address in network order, IPv4 as ::ffff:a.b.c.d
 *	16..23  when it last timed out, seconds since 1970, most significant byte first
 *	24      time-outs in a row, at least TCPTO_GAP seconds apart; 0: the slot is empty
 *	25..31  zero
 *
 * A short or missing part of the file counts as empty slots. Writers hold an exclusive
 * flock on the file. A full table loses its oldest entry. Nothing here is an error to its
 * caller: without a table each address is simply tried.
 */
#ifndef LIB_TCPTO_H
#define LIB_TCPTO_H

#include "lib/netip.h"

#include <time.h>

#define TCPTO_SLOTS 64
#define TCPTO_SLOT 32
#define TCPTO_SIZE (TCPTO_SLOTS * TCPTO_SLOT)
#define TCPTO_GAP 120   /* seconds: a burst of parallel attempts counts once */
#define TCPTO_ENOUGH 2  /* time-outs in a row after which an address is left alone ... */
#define TCPTO_REST 3600 /* ... for this many seconds */

struct tcpto_entry {
	struct netip ip;
	time_t when;
	unsigned count;
};

/* The used slots, in the file's order; how many. 0 too where there is no file. */
size_t tcpto_read(const char *path, struct tcpto_entry entries[TCPTO_SLOTS]);
/* Should this address be left alone at this time? */
bool tcpto_resting(const char *path, const struct netip *ip, time_t now);
/* Notes how an attempt to connect ended; one that did not time out clears the address. */
void tcpto_note(const char *path, const struct netip *ip, bool timed_out, time_t now);
/* Empties the table. False with errno when the file can't be written. */
bool tcpto_clear(const char *path);

#endif
