/*
 * Pauses: a destination that says 421, or a status of the kind 4.7.x, has had enough of this host
 * for now, and is left alone for a while instead of having every slot of the remote deliveries ask
 * again.
 *
 * The first pause is PAUSE_FIRST seconds, the next after it twice as long, up to PAUSE_MOST. Behind
 * a pause one delivery at a time asks; the first that succeeds ends all of it, another refusal
 * begins the next pause. What is waiting has its files in the queue, as ever; a restart forgets the
 * pauses.
 */
#ifndef SEND_PAUSE_H
#define SEND_PAUSE_H

#include "lib/str.h"

#include <time.h>

#define PAUSE_FIRST 60
#define PAUSE_MOST 3600
#define PAUSE_KEPT 86400 /* seconds after its end that one is still the one before the next */
#define PAUSES_MOST 1000 /* destinations; of more, the one that is over first is forgotten */

struct pause {
	struct pause *next;
	struct str domain;
	time_t until;
	time_t length;
};

struct pauses {
	struct pause *first;
	unsigned count;
};

/* Whether a delivery's report has such words of the remote host's. */
bool pause_is_asked_for(const char *report);
/* Begins a pause; its length, or 0 where the destination is in one: what was under way when it
 * began says nothing new. */
time_t pause_begin(struct pauses *pauses, const char *domain, time_t now);
/* When the pause that the destination is in ends; 0 where it is in none. */
time_t pause_until(const struct pauses *pauses, const char *domain, time_t now);
/* Whether it had one, and has shown no success since. */
bool pause_on_probation(const struct pauses *pauses, const char *domain);
/* It has taken a message. False where there was nothing to end. */
bool pause_end(struct pauses *pauses, const char *domain);

#endif
