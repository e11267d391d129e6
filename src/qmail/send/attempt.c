/*
 * Deliveries: see attempt.h.
 *
 * A pass goes over a channel's file once and starts a delivery for each T record. It ends
 * when every started delivery has been reported; then the file is removed, or, where
 * somebody has to be tried again, the message is due again later. The file's modification
 * time is when, so that a restart neither forgets nor repeats the waiting.
 *
 * A pass gives way after SHARE deliveries if another message is due, and goes on in its
 * turn: a message with a million recipients does not keep the others waiting. Messages that have
 * come and those that are tried again, or were found at the start, take turns as well: so a new one
 * waits for no queue, however long, and neither is that kept waiting by a stream of new ones.
 *
 * A recipient whose user or domain has its share of the deliveries (share.h) waits for its turn
 * without a slot, as a part of the pass. Of a remote one the domain is known here. A local one is
 * handed to qmail-lspawn, which knows the user and may say that it has to wait; while a delivery to
 * the same address is under way, its user is this one's, and qmail-lspawn need not be asked.
 *
 * A recipient at a domain that is in a pause (pause.h) is left for a later pass, without a
 * delivery: the one at the pause's end, unless somebody else of the message is to be tried again
 * later.
 *
 * An early message (intake.h) has no file: its pass is the delivery to its one recipient. Where
 * that doesn't succeed, or has to wait for a remote domain, which may take long, the file is made,
 * and the pass goes on as any other.
 */
#include "send/attempt.h"

#include "lib/logword.h"
#include "lib/mem.h"
#include "lib/queuefs.h"
#include "send/intake.h"
#include "send/sendlog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARE 64
#define STEP 1024 /* records that are read before others have their turn */
#define TOO_OLD "I'm not going to try again; this message has been in the queue too long.\n"

static void
channel_path(struct str *path, enum channel channel, unsigned long id)
{
	queue_split_path(path, channel_names[channel], id);
}

/* The pass is over, somebody is left. Where that is so for nothing but a pause, the next one comes
 * when that ends. */
static void
put_off(struct send *s, enum channel channel, struct message *m, time_t pause)
{
	time_t when = pause ? pause : pass_after_this(s, channel, m);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = when}};
	struct str path = STR_INIT;

	channel_path(&path, channel, m->id);
	if (utimensat(AT_FDCWD, path.s, times, 0) < 0)
		log_trouble("noting the next attempt in", path.s, "it is known until I end");
	str_free(&path);
	m->fresh = false;
	pass_due(s, channel, m, when);
}

/* The pass is over, nobody is left. */
static void
close_channel(struct send *s, enum channel channel, struct message *m)
{
	struct str path = STR_INIT;

	channel_path(&path, channel, m->id);
	if (!m->early && unlink(path.s) < 0 && errno != ENOENT) {
		log_trouble("removing", path.s, "will try again");
		pass_due(s, channel, m, s->now + RETRY_TROUBLE);
	} else {
		m->open[channel] = false;
		message_end_if_done(s, m);
	}
	str_free(&path);
}

static void
settle(struct send *s, enum channel channel, struct message *m)
{
	struct pass *pass = m->pass[channel];
	bool undone = pass->undone;
	time_t pause = pass->failed ? 0 : pass->pause;

	if (!pass->read_all || pass->outstanding)
		return;
	free(pass);
	m->pass[channel] = NULL;
	if (undone)
		put_off(s, channel, m, pause);
	else
		close_channel(s, channel, m);
}

/* An early message gets the files of any other; false, and its pass is gone, where that can't be
 * done. */
static bool
keep_early(struct send *s, enum channel channel, struct message *m)
{
	if (!m->early || intake_complete(s, channel, m))
		return true;
	free(m->pass[channel]);
	m->pass[channel] = NULL;
	return false;
}

static void
close_reader(struct reader *reader)
{
	close(reader->fd);
	reader->message = NULL;
}

static void
end_of_file(struct send *s, enum channel channel)
{
	struct reader *reader = &s->readers[channel];
	struct message *m = reader->message;

	close_reader(reader);
	m->pass[channel]->read_all = true;
	settle(s, channel, m);
}

static bool
open_reader(struct send *s, enum channel channel, struct message *m)
{
	struct reader *reader = &s->readers[channel];
	struct str path = STR_INIT;
	bool ready;

	channel_path(&path, channel, m->id);
	reader->fd = open(path.s, O_RDONLY | O_CLOEXEC);
	ready = reader->fd >= 0 && lseek(reader->fd, (off_t)m->pass[channel]->at, SEEK_SET) >= 0 &&
		record_sender(m->id, &reader->sender);
	if (!ready) {
		log_trouble("reading the envelope, info and", path.s, "will try again");
		if (reader->fd >= 0)
			close(reader->fd);
	}
	str_free(&path);
	if (!ready)
		return false;
	in_fd(&reader->in, reader->fd, reader->buffer, sizeof reader->buffer);
	reader->message = m;
	reader->started = 0;
	return true;
}

/* Begins a delivery of which the pass knows already. */
static struct delivery *
begin_delivery(struct send *s, enum channel channel, struct message *m, const struct str *from,
    const char *recipient, size_t at)
{
	struct str known = STR_INIT, sender = STR_INIT;
	struct delivery *delivery;

	route_back(&s->routes, recipient, &known);
	route_sender(from->s, known.s, &sender);
	delivery = courier_start(&s->couriers[channel], m, sender.s, recipient, at);
	delivery->number = ++s->deliveries;
	str_clear(&known);
	log_add_word(&known, recipient, strlen(recipient));
	log_line("starting delivery %lu: msg %lu to %s %s", delivery->number, m->id,
	    channel_names[channel], known.s);
	status_changed(s);
	str_free(&known);
	str_free(&sender);
	return delivery;
}

/* Whose share a remote recipient is a part of: everybody's at that domain. */
static struct holder *
domain_holder(struct share *share, const char *recipient)
{
	const char *at = strrchr(recipient, '@');
	struct str domain = STR_INIT;
	struct holder *holder;

	str_set(&domain, at ? at + 1 : "");
	str_lower(&domain);
	holder = share_holder(share, domain.s);
	str_free(&domain);
	return holder;
}

/* Whose share a local recipient is a part of, where a delivery to it is under way; or NULL. */
static struct holder *
known_holder(const struct courier *courier, const char *recipient)
{
	unsigned i;

	for (i = 0; courier->busy && i < courier->limit; i++) {
		const struct delivery *delivery = &courier->slots[i];

		if (delivery->message && delivery->holder &&
		    str_equal(&delivery->recipient, recipient))
			return delivery->holder;
	}
	return NULL;
}

/* How many deliveries at a time it may have: one behind a pause, until that succeeds. */
static unsigned
share_of(const struct send *s, enum channel channel, const struct holder *holder)
{
	bool one = channel == CHANNEL_REMOTE && pause_on_probation(&s->pauses, holder->name.s);

	return one ? 1 : s->shares[channel].limit;
}

/* Whether the recipient has to wait for the end of a pause; the pass then knows. The last attempt
 * of a message that is too old is made all the same. */
static bool
in_pause(const struct send *s, enum channel channel, struct message *m, const struct holder *holder)
{
	struct pass *pass = m->pass[channel];
	time_t until;

	if (channel != CHANNEL_REMOTE || pass->last)
		return false;
	until = pause_until(&s->pauses, holder->name.s, s->now);
	if (!until)
		return false;
	pass->undone = true;
	if (until > pass->pause)
		pass->pause = until;
	return true;
}

/* Begins a delivery, or has it wait for its share, or for a later pass. */
static void
start_delivery(struct send *s, enum channel channel, struct message *m, const struct str *from,
    const char *recipient, size_t at)
{
	struct holder *holder = channel == CHANNEL_REMOTE
				    ? domain_holder(&s->shares[channel], recipient)
				    : known_holder(&s->couriers[channel], recipient);

	if (holder && in_pause(s, channel, m, holder)) {
		share_enter(holder);
		share_cancel(&s->shares[channel], holder);
		if (keep_early(s, channel, m))
			settle(s, channel, m);
		return;
	}
	m->pass[channel]->outstanding++;
	if (holder && holder->running + holder->ready >= share_of(s, channel, holder)) {
		if (channel == CHANNEL_LOCAL || keep_early(s, channel, m))
			share_wait(holder, m, at);
		return;
	}
	if (holder)
		share_enter(holder);
	begin_delivery(s, channel, m, from, recipient, at)->holder = holder;
}

static bool
is_due(const struct send *s, enum channel channel, enum due due)
{
	const struct heap_item *first = heap_first(&s->due[channel][due]);

	return first && first->when <= s->now;
}

/* The message whose pass is to begin or to go on; NULL, and the time is noted, where none is due.
 */
static struct message *
take_due(struct send *s, enum channel channel)
{
	enum due due = s->turn[channel];

	if (!is_due(s, channel, due))
		due = due == DUE_FRESH ? DUE_AGAIN : DUE_FRESH;
	if (is_due(s, channel, due)) {
		s->turn[channel] = due == DUE_FRESH ? DUE_AGAIN : DUE_FRESH;
		return heap_take(&s->due[channel][due]);
	}
	for (due = 0; due < DUE_COUNT; due++)
		if (heap_first(&s->due[channel][due]))
			wake_at(s, heap_first(&s->due[channel][due])->when);
	return NULL;
}

/* Opens the message that is due, or begins its delivery; false where none is. */
static bool
next_message(struct send *s, enum channel channel)
{
	struct message *m;

	while ((m = take_due(s, channel))) {
		if (!m->pass[channel]) {
			m->pass[channel] = mem_array(1, sizeof *m->pass[channel]);
			m->pass[channel]->last = s->now > m->birth + s->lifetime;
		}
		if (m->early) {
			m->pass[channel]->read_all = true;
			start_delivery(s, channel, m, &m->early->sender, m->early->recipient.s, 0);
			return true;
		}
		if (open_reader(s, channel, m))
			return true;
		m->pass[channel]->undone = m->pass[channel]->read_all = true;
		settle(s, channel, m);
	}
	return false;
}

/* One record; where it was the last one, the end is noticed at once. */
static void
read_on(struct send *s, enum channel channel)
{
	struct reader *reader = &s->readers[channel];
	struct pass *pass = reader->message->pass[channel];
	struct str record = STR_INIT;
	enum record got = record_read(&reader->in, &record);

	if (got == RECORD_OK && record.s[0] != 'T' && record.s[0] != 'D') {
		errno = EBADMSG;
		got = RECORD_ERROR;
	}
	if (got == RECORD_OK) {
		if (record.s[0] == 'T') {
			reader->started++;
			start_delivery(
			    s, channel, reader->message, &reader->sender, record.s + 1, pass->at);
		}
		pass->at += record.len + 1;
		if (in_fill(&reader->in) == 0)
			got = RECORD_END;
	}
	str_free(&record);
	if (got == RECORD_ERROR) {
		struct str path = STR_INIT;

		channel_path(&path, channel, reader->message->id);
		log_trouble("reading", path.s, "will try again");
		str_free(&path);
		pass->undone = true;
	}
	if (got != RECORD_OK)
		end_of_file(s, channel);
}

static void
give_way(struct send *s, enum channel channel)
{
	struct reader *reader = &s->readers[channel];

	if (!reader->message || reader->started < SHARE ||
	    !(is_due(s, channel, DUE_FRESH) || is_due(s, channel, DUE_AGAIN)))
		return;
	pass_due(s, channel, reader->message, s->now);
	close_reader(reader);
}

/* Reads one record again; false, with a warning, where that can't be done. */
static bool
read_again(
    enum channel channel, const struct waiting *waiting, struct str *record, struct str *sender)
{
	const struct early *early = waiting->message->early;
	struct str path = STR_INIT;
	char buffer[RECORD_MAX];
	struct in in;
	bool found;
	int fd;

	if (early) {
		str_set(record, "T");
		str_add_str(record, &early->recipient);
		str_set_str(sender, &early->sender);
		return true;
	}
	channel_path(&path, channel, waiting->message->id);
	fd = open(path.s, O_RDONLY | O_CLOEXEC);
	in_fd(&in, fd, buffer, sizeof buffer);
	found = fd >= 0 && lseek(fd, (off_t)waiting->at, SEEK_SET) >= 0 &&
		record_read(&in, record) == RECORD_OK && record->s[0] == 'T' &&
		record_sender(waiting->message->id, sender);
	if (!found)
		log_trouble("reading the envelope, info and", path.s, "will try again");
	if (fd >= 0)
		close(fd);
	str_free(&path);
	return found;
}

/* The turn of a recipient that had to wait. */
static void
start_waiting(struct send *s, enum channel channel, const struct waiting *waiting)
{
	struct str record = STR_INIT, sender = STR_INIT;
	struct message *m = waiting->message;

	share_enter(waiting->holder);
	if (in_pause(s, channel, m, waiting->holder)) {
		share_leave(&s->shares[channel], waiting->holder);
		m->pass[channel]->outstanding--;
		settle(s, channel, m);
		return;
	}
	if (read_again(channel, waiting, &record, &sender)) {
		begin_delivery(s, channel, m, &sender, record.s + 1, waiting->at)->holder =
		    waiting->holder;
	} else {
		share_leave(&s->shares[channel], waiting->holder);
		m->pass[channel]->outstanding--;
		m->pass[channel]->undone = true;
		settle(s, channel, m);
	}
	str_free(&record);
	str_free(&sender);
}

void
attempt_start(struct send *s, enum channel channel)
{
	const struct courier *courier = &s->couriers[channel];
	struct waiting waiting;
	unsigned steps;

	for (steps = 0; !s->leaving && !s->lost && courier->busy < courier->limit; steps++) {
		if (steps == STEP) {
			wake_at(s, s->now);
			return;
		}
		if (share_ready(&s->shares[channel], &waiting)) {
			start_waiting(s, channel, &waiting);
			continue;
		}
		if (!s->readers[channel].message && !next_message(s, channel))
			return;
		if (s->readers[channel].message)
			read_on(s, channel);
		give_way(s, channel);
	}
}

/* Writes D over the T. Where that fails, a later pass may deliver once more. */
static void
mark_done(enum channel channel, const struct delivery *delivery)
{
	struct str path = STR_INIT;
	int fd;

	channel_path(&path, channel, delivery->message->id);
	fd = open(path.s, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, "D", 1, (off_t)delivery->at) != 1)
		log_trouble("marking a recipient in", path.s, "it may be delivered to twice");
	if (fd >= 0)
		close(fd);
	str_free(&path);
}

static bool
note_failure(struct send *s, const struct delivery *delivery, const char *report, bool too_old)
{
	struct str known = STR_INIT, text = STR_INIT;
	bool noted;

	route_back(&s->routes, delivery->recipient.s, &known);
	str_set(&text, report);
	if (too_old) {
		if (text.len && text.s[text.len - 1] != '\n')
			str_add_char(&text, '\n');
		str_add(&text, TOO_OLD);
	}
	noted = bounce_note(delivery->message->id, known.s, text.s);
	if (!noted)
		log_trouble("noting a failure in", "bounce", "will try the delivery again");
	str_free(&known);
	str_free(&text);
	return noted;
}

static void
log_report(const struct delivery *delivery, const char *outcome, const char *report)
{
	struct str text = STR_INIT;

	log_add_report(&text, report);
	log_line("delivery %lu: %s: %s", delivery->number, outcome, text.s);
	str_free(&text);
}

static void
free_slot(struct send *s, enum channel channel, struct delivery *delivery)
{
	struct message *m = delivery->message;

	courier_end(&s->couriers[channel], delivery);
	status_changed(s);
	if (m->pass[channel])
		settle(s, channel, m);
}

static void
count_report(enum channel channel, const struct delivery *delivery, bool done)
{
	struct pass *pass = delivery->message->pass[channel];

	pass->outstanding--;
	if (!done)
		pass->undone = pass->failed = true;
	/* The file is about to be removed: a mark in it would be for nobody. */
	else if (!pass->read_all || pass->outstanding || pass->undone)
		mark_done(channel, delivery);
}

/* What a report shows of the destination. */
static void
take_hint(struct send *s, enum channel channel, const struct delivery *delivery, const char *report)
{
	struct holder *holder = delivery->holder;
	struct str domain = STR_INIT;
	time_t length;

	if (channel != CHANNEL_REMOTE || !holder)
		return;
	log_add_word(&domain, holder->name.s, holder->name.len);
	if (*report == 'K' && pause_end(&s->pauses, holder->name.s)) {
		log_line("pause: %s over", domain.s);
		share_fill(&s->shares[channel], holder);
	} else if (*report == 'Z' && pause_is_asked_for(report + 1)) {
		length = pause_begin(&s->pauses, holder->name.s, s->now);
		if (length)
			log_line("pause: %s %lld seconds", domain.s, (long long)length);
	}
	str_free(&domain);
}

static void
take_report(struct send *s, enum channel channel, struct delivery *delivery, const char *report)
{
	struct message *m = delivery->message;
	struct pass *pass = m->pass[channel];
	char letter = report[0];
	bool done = letter == 'K';

	switch (letter) {
	case 'K': log_report(delivery, "success", report + 1); break;
	case 'D': log_report(delivery, "failure", report + 1); break;
	case 'Z': log_report(delivery, pass->last ? "failure" : "deferral", report + 1); break;
	default: log_line("delivery %lu: report mangled, will defer", delivery->number);
	}
	take_hint(s, channel, delivery, report);
	if (done || keep_early(s, channel, m)) {
		if (letter == 'D' || (letter == 'Z' && pass->last))
			done = note_failure(s, delivery, report + 1, letter == 'Z');
		count_report(channel, delivery, done);
	}
	if (delivery->holder)
		share_leave(&s->shares[channel], delivery->holder);
	free_slot(s, channel, delivery);
}

/* A delivery has a user. */
static void
take_whose(struct share *share, struct delivery *delivery, const char *uid)
{
	struct holder *before = delivery->holder, *holder = share_holder(share, uid);

	if (holder == before)
		return;
	share_enter(holder);
	delivery->holder = holder;
	if (before)
		share_leave(share, before);
}

/* A delivery did not begin, since its user has enough of them; there must be one that goes on. */
static void
take_wait(struct send *s, enum channel channel, struct delivery *delivery, const char *uid)
{
	struct share *share = &s->shares[channel];
	struct message *m = delivery->message;
	struct holder *before = delivery->holder, *holder = share_holder(share, uid);
	unsigned others = holder->running - (before == holder);
	struct str text = STR_INIT;

	str_addf(&text, "Waits for its turn: uid %s has its share of the deliveries.\n", uid);
	log_report(delivery, "deferral", text.s);
	str_free(&text);
	if (before != holder)
		share_enter(holder);
	if (others)
		share_wait(holder, m, delivery->at);
	else if (keep_early(s, channel, m))
		count_report(channel, delivery, false);
	share_cancel(share, holder);
	if (before && before != holder)
		share_leave(share, before);
	free_slot(s, channel, delivery);
}

static void
take_word(struct send *s, enum channel channel, struct delivery *delivery, const char *report)
{
	unsigned long uid;

	if (channel == CHANNEL_LOCAL && (*report == COURIER_WHOSE || *report == COURIER_WAIT) &&
	    number_parse(report + 1, UINT_MAX, &uid)) {
		if (*report == COURIER_WHOSE)
			take_whose(&s->shares[channel], delivery, report + 1);
		else
			take_wait(s, channel, delivery, report + 1);
	} else {
		take_report(s, channel, delivery, report);
	}
}

void
attempt_reports(struct send *s, enum channel channel)
{
	struct courier *courier = &s->couriers[channel];
	struct delivery *delivery;
	const char *report;
	size_t at = 0;

	if (!courier_read(courier) && !s->lost) {
		log_line("alert: lost connection to qmail-%cspawn, ending",
		    channel == CHANNEL_LOCAL ? 'l' : 'r');
		s->lost = true;
	}
	while ((report = courier_report(courier, &at, &delivery))) {
		if (delivery)
			take_word(s, channel, delivery, report);
		else
			log_line("warning: internal error: delivery report out of range");
	}
	courier_drop(courier, at);
}
