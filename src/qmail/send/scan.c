/*
 * The queue as it is found. At the start, info is gone through for the messages that an
 * earlier qmail-send had taken in; then, and once a day, mess for what a qmail-queue left
 * that did not get to its end (states S2 and S3, untouched for 36 hours). See scan.h.
 */
#include "send/scan.h"

#include "lib/queuefs.h"
#include "queue/cleaner.h"
#include "send/sendlog.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP 512  /* entries looked at in one step */
#define DAY 86400 /* seconds between clean-ups */

static bool
stat_split(const char *directory, unsigned long id, struct stat *file)
{
	char path[64];

	snprintf(path, sizeof path, "%s/%lu/%lu", directory, id % QUEUE_SPLIT, id);
	return stat(path, file) == 0;
}

static bool
is_in_todo(unsigned long id)
{
	char path[64];

	snprintf(path, sizeof path, "todo/%lu", id);
	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* The next attempt: as an earlier qmail-send wrote it down, but never put off by a clock
 * that was wrong then for longer than the message's age demands. */
static void
resume(struct send *s, enum channel channel, struct message *m, time_t noted)
{
	time_t latest = pass_after_this(s, channel, m);

	m->open[channel] = true;
	pass_due(s, channel, m, noted < latest ? noted : latest);
}

static void
known_message(struct send *s, unsigned long id)
{
	enum channel channel;
	struct stat file;
	struct message *m;

	if (message_find(&s->messages, id) || is_in_todo(id))
		return;
	if (!stat_split("info", id, &file))
		return;
	m = message_add(&s->messages, id);
	m->birth = file.st_mtime;
	m->state = MESSAGE_QUEUED;
	for (channel = 0; channel < CHANNEL_COUNT; channel++)
		if (stat_split(channel_names[channel], id, &file))
			resume(s, channel, m, file.st_mtime);
	message_end_if_done(s, m);
}

/* S2 or S3, and the qmail-queue that made it must be dead. */
static bool
is_abandoned(const struct send *s, unsigned long id)
{
	struct stat file;

	return !message_find(&s->messages, id) && !is_in_todo(id) &&
	       stat_split("mess", id, &file) && s->now - file.st_mtime > ABANDONED &&
	       !stat_split("info", id, &file) && errno == ENOENT;
}

static void
clean(struct send *s, char kind, unsigned long id)
{
	char answer;

	if (clean_up(s, kind, &id, 1, &answer) && answer != CLEAN_DONE)
		log_line("warning: qmail-clean can't remove what an earlier qmail-queue left");
}

/* Opens the next directory; false when there is none left. */
static bool
next_directory(struct send *s)
{
	const char *kind = s->sweeping ? "mess" : "info";

	while (s->found_split < QUEUE_SPLIT) {
		char path[64];

		snprintf(path, sizeof path, "%s/%u", kind, s->found_split++);
		s->found = opendir(path);
		if (s->found)
			return true;
		log_trouble("opening", path, "its messages will be seen after my next start");
	}
	return false;
}

/* After info comes mess, after that a day's rest. */
static void
round_done(struct send *s)
{
	s->scanning = false;
	if (!s->sweeping) {
		s->sweeping = true;
		s->sweep_next = s->now;
	} else {
		s->sweep_next = s->now + DAY;
	}
}

static bool
begin_sweep(struct send *s)
{
	if (!s->sweeping || s->now < s->sweep_next)
		return false;
	clean(s, CLEAN_PID, 0);
	s->scanning = true;
	s->found_split = 0;
	return true;
}

static void
look_at(struct send *s, unsigned long id)
{
	if (!s->sweeping)
		known_message(s, id);
	else if (is_abandoned(s, id))
		clean(s, CLEAN_MESSAGE, id);
}

void
scan_step(struct send *s)
{
	const struct dirent *entry;
	unsigned count;

	if (!s->scanning && !begin_sweep(s)) {
		wake_at(s, s->sweep_next);
		return;
	}
	wake_at(s, s->now);
	if (!s->found && !next_directory(s)) {
		round_done(s);
		return;
	}
	for (count = 0; count < STEP && !s->lost; count++) {
		unsigned long id;

		entry = readdir(s->found);
		if (!entry) {
			closedir(s->found);
			s->found = NULL;
			return;
		}
		if (number_parse(entry->d_name, ULONG_MAX, &id))
			look_at(s, id);
	}
}
