/*
 * qmail-send: what its parts share.
 *
 *	intake	todo: S4 to S5
 *	attempt	passes over recipients, deliveries, their reports
 *	ending	bounces and the end of messages: S5 to S1
 *	scan	the queue as it is found at the start; what dead qmail-queues left
 *
 * Each step does a bounded piece of work and returns, so that nothing waits long: new mail
 * is taken in while a large queue is being read and every delivery slot is in use. Times
 * that a step must be called again are handed to wake_at.
 */
#ifndef SEND_SEND_H
#define SEND_SEND_H

#include "queue/record.h"
#include "send/book.h"
#include "send/bounce.h"
#include "send/courier.h"
#include "send/heap.h"
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

struct send {
	struct routes routes;
	struct bounce_names names;
	time_t lifetime;

	struct book book;
	struct courier couriers[CHANNEL_COUNT];
	struct heap due[CHANNEL_COUNT];
	struct reader readers[CHANNEL_COUNT];
	struct share shares[CHANNEL_COUNT];
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
	bool leaving; /* start nothing new */
	bool lost;    /* a helper is gone */
};

void wake_at(struct send *s, time_t when);

void intake_step(struct send *s);

void attempt_start(struct send *s, enum channel channel);
void attempt_reports(struct send *s, enum channel channel);
/* Adds a pass over the message's recipients. */
void attempt_due(struct send *s, enum channel channel, struct message *m, time_t when);
void log_status(const struct send *s);
extern const char *const channel_names[CHANNEL_COUNT];
unsigned attempt_skip(enum channel channel);

void ending_add(struct send *s, struct message *m);
void ending_step(struct send *s);
/* A bounce job's descriptor can be read. */
void ending_bounced(struct send *s, struct bounce_job *job);
bool ending_busy(const struct send *s);

void scan_step(struct send *s);

#endif
