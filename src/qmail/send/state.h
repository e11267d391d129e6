/*
 * qmail-send: what its parts share, and how they hand a message to each other without knowing
 * each other: what is due, what has ended, when to wake.
 *
 *	intake	todo: S4 to S5
 *	attempt	passes over recipients, deliveries, their reports
 *	ending	bounces and the end of messages: S5 to S1
 *	scan	the queue as it is found at the start; what dead qmail-queues left
 *
 * qmail-send.c calls a step of each in turn. A step does a bounded piece of work and returns, so
 * that nothing waits long: new mail is taken in while a large queue is being read and every
 * delivery slot is in use. Times that a step must be called again are handed to wake_at.
 */
#ifndef SEND_STATE_H
#define SEND_STATE_H

#include "queue/record.h"
#include "send/bounce.h"
#include "send/courier.h"
#include "send/heap.h"
#include "send/messages.h"
#include "send/pause.h"
#include "send/route.h"
#include "send/share.h"

#include <dirent.h>
#include <time.h>

#define RETRY_TROUBLE 60 /* seconds until something that the system refused is tried again */

/* The file that is being gone through on a channel. */
struct reader {
	struct message *message; /* NULL: none */
	int fd;
	unsigned started; /* deliveries, since it was opened */
	struct in in;
	struct str sender;
	char buffer[8192];
};

/* A channel's passes that are due: those of messages that have come, and of all others. */
enum due { DUE_AGAIN, DUE_FRESH, DUE_COUNT };

struct send {
	struct routes routes;
	struct bounce_names names;
	time_t lifetime;

	struct message_table messages;
	struct courier couriers[CHANNEL_COUNT];
	struct heap due[CHANNEL_COUNT][DUE_COUNT];
	enum due turn[CHANNEL_COUNT]; /* whose it is, where passes of both are due */
	struct reader readers[CHANNEL_COUNT];
	struct share shares[CHANNEL_COUNT];
	struct pauses pauses;     /* of remote destinations */
	unsigned long deliveries; /* started since the beginning */

	struct heap endings, bounces;
	struct bounce_job jobs[BOUNCE_JOBS];
	int clean_to, clean_from;

	DIR *todo;
	bool todo_wanted; /* something new may be there */
	time_t todo_next;

	DIR *found; /* of info, at the start; then of mess, once a day */
	bool scanning, sweeping;
	unsigned found_split;
	time_t sweep_next;

	time_t now, wake;
	time_t status_said; /* when the last status was logged */
	bool status_wanted; /* another one is due */
	bool leaving;       /* start nothing new */
	bool lost;          /* a helper is gone */
	bool unclean;       /* and that is qmail-clean */
};

extern const char *const channel_names[CHANNEL_COUNT]; /* and of their directories */

/* The steps are to be called again at this time. */
void wake_at(struct send *s, time_t when);

/* A pass over the message's recipients on this channel is due at this time. */
void pass_due(struct send *s, enum channel channel, struct message *m, time_t when);
/* When that is, for a message of its age, if a pass that ends now leaves somebody. */
time_t pass_after_this(const struct send *s, enum channel channel, const struct message *m);

/* No recipient may be left: where that is so, the message's end is due. */
void message_end_if_done(struct send *s, struct message *m);

/*
 * Asks qmail-clean for something: see cleaner.h. False, with an alert, where it is gone: then
 * s->lost is set, and this process ends.
 */
bool clean_up(struct send *s, char kind, const unsigned long *ids, size_t count, char *answers);

/* How many deliveries are under way. */
void log_status(const struct send *s);
/* The same, once the step after it comes; at most once a second, for where much goes on it would be
 * half of the log. */
void status_changed(struct send *s);
void status_step(struct send *s);

#endif
