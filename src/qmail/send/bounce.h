/*
 * Bounces: permanent failures are noted in bounce/ID; when no recipient of the message is
 * left, the notes are sent to its sender, in the form that QSBMF describes, through
 * qmail-queue (or what QMAILQUEUE names) by a child process, so that a slow one holds
 * nothing up. Of the message a bounce carries the header and the beginning of the body: whoever
 * makes us send bounces to a stranger must not choose their size.
 */
#ifndef SEND_BOUNCE_H
#define SEND_BOUNCE_H

#include "lib/str.h"

#include <sys/types.h>

#define BOUNCE_JOBS 4 /* at the same time */

struct bounce_names {
	struct str from, host;  /* of bounces: control/bouncefrom, bouncehost */
	struct str me;          /* who says so, in the text */
	struct str double_to;   /* where double bounces go, with the host */
	bool discard_double;    /* they go nowhere */
	unsigned long body_max; /* bytes of a message's body that its bounce carries */
};

/* Reads control files; NULL, or the name of the one that can't be used (errno). */
const char *bounce_names_load(struct bounce_names *names);

/*
 * Appends a note to bounce/ID and waits until it is on disk: from then on the recipient
 * may be marked as done with. False with errno.
 */
bool bounce_note(unsigned long id, const char *recipient, const char *report);

enum bounce_kind {
	BOUNCE_NONE,   /* there are no notes */
	BOUNCE_SINGLE, /* to the sender */
	BOUNCE_DOUBLE, /* a bounce bounced: to control/doublebounceto */
	BOUNCE_TRIPLE, /* that bounced as well: nobody is told */
	BOUNCE_TROUBLE /* errno */
};

/* What has to be done for this message; its sender is put into sender. */
enum bounce_kind bounce_kind(unsigned long id, struct str *sender);

struct message;
struct bounce_job {
	struct message *message; /* NULL: the job is free */
	pid_t pid;
	int from;
	struct str answer;
};

struct bounce_outcome {
	bool done; /* it is in the queue */
	unsigned long qp;
	const char *text; /* else why not; valid until the job's next use */
};

/* Starts sending; false with errno. */
bool bounce_start(struct bounce_job *job, unsigned long id, const struct bounce_names *names,
    enum bounce_kind kind, const struct str *sender);
/* Reads what the child says: true when it has ended and outcome is filled. */
bool bounce_finish(struct bounce_job *job, struct bounce_outcome *outcome);

#endif
