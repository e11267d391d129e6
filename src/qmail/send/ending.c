/*
 * The end of a message without recipients: its bounce, if notes were made, then info, then
 * qmail-clean removes mess. In this order: bounce/ID gone means that the bounce is in the
 * queue, info/ID gone that nothing else is to be done. See ending.h.
 */
#include "send/ending.h"

#include "lib/queuefs.h"
#include "queue/cleaner.h"
#include "send/sendlog.h"

#include <errno.h>
#include <unistd.h>

/* Messages that leave the queue together: those without info, early ones, by CLEAN_ALL. */
struct batch {
	char kind;
	unsigned long ids[CLEANER_BATCH];
	struct message *messages[CLEANER_BATCH];
	size_t count;
};

static void
later(struct send *s, struct message *m)
{
	heap_add(&s->endings, s->now + RETRY_TROUBLE, m);
}

static bool
remove_notes(struct send *s, struct message *m)
{
	struct str path = STR_INIT;
	bool gone;

	queue_flat_path(&path, "bounce", m->id);
	gone = unlink(path.s) == 0 || errno == ENOENT;
	if (!gone) {
		log_trouble("removing", path.s, "will try again");
		later(s, m);
	}
	str_free(&path);
	return gone;
}

static void
add(struct batch *batch, struct message *m)
{
	batch->ids[batch->count] = m->id;
	batch->messages[batch->count++] = m;
}

/* All is done: the message leaves the queue with the next batch. */
static void
eliminate(struct send *s, struct message *m, struct batch *batch)
{
	struct str path = STR_INIT;

	queue_split_path(&path, "info", m->id);
	if (unlink(path.s) < 0 && errno != ENOENT) {
		log_trouble("removing", path.s, "will try again");
		later(s, m);
	} else {
		add(batch, m);
	}
	str_free(&path);
}

/* False: qmail-clean is gone. */
static bool
clean(struct send *s, struct batch *batch)
{
	char answers[CLEANER_BATCH];
	size_t i;

	if (!batch->count)
		return true;
	if (!clean_up(s, batch->kind, batch->ids, batch->count, answers))
		return false;
	for (i = 0; i < batch->count; i++) {
		if (answers[i] != CLEAN_DONE && batch->kind == CLEAN_ALL) {
			log_line("warning: qmail-clean can't remove todo/%lu or mess/%lu, will try "
				 "again",
			    batch->ids[i], batch->ids[i]);
			later(s, batch->messages[i]);
			continue;
		}
		if (answers[i] != CLEAN_DONE)
			log_line("warning: qmail-clean can't remove mess/%lu, which goes with the "
				 "next clean-up",
			    batch->ids[i]);
		log_line("end msg %lu", batch->ids[i]);
		message_drop(&s->messages, batch->messages[i]);
	}
	return true;
}

static struct bounce_job *
idle_job(struct send *s)
{
	int i;

	for (i = 0; i < BOUNCE_JOBS; i++)
		if (!s->jobs[i].message)
			return &s->jobs[i];
	return NULL;
}

static void
bounce(struct send *s, struct message *m, enum bounce_kind kind, const struct str *sender)
{
	struct bounce_job *job = idle_job(s);

	if (s->leaving) /* the next qmail-send will find the notes */
		return;
	if (!job) {
		heap_add(&s->bounces, 0, m);
		return;
	}
	if (bounce_start(job, m->id, &s->names, kind, sender)) {
		job->message = m;
		return;
	}
	log_line("warning: unable to start qmail-queue for the bounce of msg %lu, will try later",
	    m->id);
	later(s, m);
}

static void
end(struct send *s, struct message *m, struct batch *batch)
{
	struct str sender = STR_INIT;
	enum bounce_kind kind = bounce_kind(m->id, &sender);

	if (kind == BOUNCE_TRIPLE)
		log_line("triple bounce: discarding bounce/%lu", m->id);
	else if (kind == BOUNCE_DOUBLE && s->names.discard_double)
		log_line("double bounce: discarding bounce/%lu", m->id);
	else if (kind == BOUNCE_TROUBLE) {
		log_line(
		    "warning: trouble reading info or bounce of msg %lu, will try later", m->id);
		later(s, m);
	} else if (kind != BOUNCE_NONE)
		bounce(s, m, kind, &sender);
	if (kind == BOUNCE_NONE || kind == BOUNCE_TRIPLE ||
	    (kind == BOUNCE_DOUBLE && s->names.discard_double))
		if (remove_notes(s, m))
			eliminate(s, m, batch);
	str_free(&sender);
}

/* A batch of each kind; true where more early ones may be due: nothing but this says that they are
 * done. */
static bool
end_some(struct send *s)
{
	const struct heap_item *first;
	struct batch batch = {.kind = CLEAN_MESSAGE}, early = {.kind = CLEAN_ALL};

	while ((first = heap_first(&s->endings)) && first->when <= s->now &&
	       batch.count < CLEANER_BATCH && early.count < CLEANER_BATCH) {
		struct message *m = heap_take(&s->endings);

		if (m->early)
			add(&early, m);
		else
			end(s, m, &batch);
	}
	if (first)
		wake_at(s, first->when);
	return clean(s, &batch) && clean(s, &early) && early.count == CLEANER_BATCH;
}

void
ending_step(struct send *s)
{
	while (!s->leaving && heap_first(&s->bounces) && idle_job(s))
		heap_add(&s->endings, s->now, heap_take(&s->bounces));
	while (end_some(s))
		;
}

bool
ending_due(const struct send *s)
{
	const struct heap_item *first = heap_first(&s->endings);

	return first && first->when <= s->now;
}

void
ending_bounced(struct send *s, struct bounce_job *job)
{
	struct bounce_outcome outcome;
	struct message *m = job->message;

	if (!bounce_finish(job, &outcome))
		return;
	job->message = NULL;
	if (!outcome.done) {
		log_line("warning: trouble injecting bounce message for msg %lu, will try later: "
			 "%s",
		    m->id, outcome.text);
		later(s, m);
		return;
	}
	log_line("bounce msg %lu qp %lu", m->id, outcome.qp);
	if (remove_notes(s, m))
		message_end_if_done(s, m);
}

bool
ending_busy(const struct send *s)
{
	int i;

	for (i = 0; i < BOUNCE_JOBS; i++)
		if (s->jobs[i].message)
			return true;
	return false;
}
