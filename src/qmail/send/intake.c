/*
 * New messages, from S4 to S5: todo/ID is read, its sender goes to info/ID, its recipients
 * to local/ID and remote/ID; qmail-clean then removes intd/ID and todo/ID. See intake.h.
 *
 * Most messages have one recipient and are delivered at the first attempt. For those nothing is
 * written: they stay in S4, with what todo/ID says in memory, and go from there to S1. That
 * promises no less: whatever ends this process, the message is taken in anew, as it would be tried
 * anew from S5.
 *
 * Messages are taken in by batches. Writing out is begun for every file of a batch before
 * any is waited for, and each is on disk before a todo entry goes: until then a crash
 * means that the message is taken in anew, from the start.
 */
#include "send/intake.h"

#include "lib/logword.h"
#include "lib/queuefs.h"
#include "queue/cleaner.h"
#include "send/sendlog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_AGAIN 1500     /* seconds, if nobody pulls the trigger */
#define RETRY_UNUSABLE 3600 /* seconds until a malformed todo file is looked at again */
#define INFO CHANNEL_COUNT  /* index of the file besides the channels' */

/* Messages that may wait in S4 for their delivery at a time: each time that a new one comes, todo
 * is gone through. */
#define EARLY_MOST 256

struct arrival {
	unsigned long id, uid, qp, bytes;
	struct str sender, recipient; /* the first recipient, as its record has it */
	enum channel channel;         /* that one's */
	unsigned long recipients;
	bool sent, may_be_early;      /* there is a sender; see is_early */
	bool gone;                    /* todo/ID is there no more */
	int files[CHANNEL_COUNT + 1]; /* -1: not needed */
	time_t again;                 /* seconds until it is tried again; 0: it is good */
};

/* It stays in S4 for now; once all of it has been read. */
static bool
is_early(const struct arrival *a)
{
	return a->may_be_early && a->recipients == 1;
}

/* It is complete, and to go from todo. */
static bool
has_files(const struct arrival *a)
{
	return !a->again && !a->gone && !is_early(a);
}

static const char *
directory_of(int file)
{
	return file == INFO ? "info" : channel_names[file];
}

static bool
fail(struct arrival *a, const char *doing, const char *path)
{
	a->again = errno == EBADMSG ? RETRY_UNUSABLE : RETRY_TROUBLE;
	log_trouble(doing, path, "will take the message in later");
	return false;
}

/* What an earlier attempt may have left. */
static bool
remove_old(struct arrival *a)
{
	struct str path = STR_INIT;
	bool gone = true;
	int i;

	for (i = 0; i <= INFO && gone; i++) {
		queue_split_path(&path, directory_of(i), a->id);
		gone = unlink(path.s) == 0 || errno == ENOENT || fail(a, "removing", path.s);
	}
	str_free(&path);
	return gone;
}

static bool
make(struct arrival *a, int file)
{
	struct str path = STR_INIT;

	if (a->files[file] >= 0)
		return true;
	queue_split_path(&path, directory_of(file), a->id);
	a->files[file] = open(path.s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (a->files[file] < 0)
		fail(a, "making", path.s);
	str_free(&path);
	return a->files[file] >= 0;
}

struct sorter {
	struct out outs[CHANNEL_COUNT + 1];
	char buffers[CHANNEL_COUNT + 1][4096];
	struct str address;
};

/* One record of one of the files, which is made with its first. */
static bool
put(struct arrival *a, struct sorter *sorter, int file, const struct str *address)
{
	if (a->files[file] < 0) {
		if (!make(a, file))
			return false;
		out_fd(&sorter->outs[file], a->files[file], sorter->buffers[file],
		    sizeof sorter->buffers[file]);
	}
	record_write(&sorter->outs[file], file == INFO ? 'F' : 'T', address);
	return true;
}

/* The sender and the first recipient, which were kept back as long as they might be all. */
static bool
put_first(struct arrival *a, struct sorter *sorter)
{
	return put(a, sorter, INFO, &a->sender) &&
	       (!a->recipients || put(a, sorter, (int)a->channel, &a->recipient));
}

static bool
sort_recipient(struct send *s, struct arrival *a, struct sorter *sorter, const char *recipient)
{
	enum channel channel = route(&s->routes, recipient, &sorter->address);

	if (!a->sent)
		return false;
	if (!a->recipients++) {
		a->channel = channel;
		str_set_str(&a->recipient, &sorter->address);
		return true;
	}
	return (a->recipients > 2 || put_first(a, sorter)) &&
	       put(a, sorter, (int)channel, &sorter->address);
}

static bool
sort_record(struct send *s, struct arrival *a, struct sorter *sorter, const struct str *record)
{
	switch (record->s[0]) {
	case 'u': return number_parse(record->s + 1, ULONG_MAX, &a->uid);
	case 'p': return number_parse(record->s + 1, ULONG_MAX, &a->qp);
	case 'F':
		if (a->sent)
			return false;
		str_set(&a->sender, record->s + 1);
		a->sent = true;
		return true;
	case 'T': return sort_recipient(s, a, sorter, record->s + 1);
	default: return false;
	}
}

/* Reads todo/ID and writes the others. */
static bool
sort(struct send *s, struct arrival *a, int todo, const char *path)
{
	static struct sorter sorter = {.address = STR_INIT}; /* large, and used again */
	struct str record = STR_INIT;
	char buffer[8192];
	struct in in;
	enum record got;
	int i;

	in_fd(&in, todo, buffer, sizeof buffer);
	while ((got = record_read(&in, &record)) == RECORD_OK) {
		errno = EBADMSG;
		if (!sort_record(s, a, &sorter, &record)) {
			got = RECORD_ERROR;
			break;
		}
	}
	str_free(&record);
	if (got == RECORD_END && !a->sent) {
		errno = EBADMSG;
		got = RECORD_ERROR;
	}
	if (got == RECORD_ERROR)
		return a->again ? false : fail(a, "reading", path);
	if (a->recipients < 2 && !is_early(a) && !put_first(a, &sorter))
		return false;
	for (i = 0; i <= INFO; i++)
		if (a->files[i] >= 0 && !out_flush(&sorter.outs[i]))
			return fail(a, "writing", directory_of(i));
	return true;
}

/*
 * What a directory's reader has in store may be out of date: a message that was delivered from S4
 * since has gone from there with its entry, and its number may soon be another one's.
 */
static int
open_todo(struct arrival *a, const char *path)
{
	int todo = open(path, O_RDONLY | O_CLOEXEC);

	a->gone = todo < 0 && errno == ENOENT;
	if (todo < 0 && !a->gone)
		fail(a, "opening", path);
	return todo;
}

static bool
look_at_message(struct arrival *a)
{
	struct str path = STR_INIT;
	struct stat mess;
	bool there;

	queue_split_path(&path, "mess", a->id);
	there = stat(path.s, &mess) == 0 || fail(a, "looking at", path.s);
	if (there)
		a->bytes = (unsigned long)mess.st_size;
	str_free(&path);
	return there;
}

static bool
read_todo(struct send *s, struct arrival *a)
{
	struct str path = STR_INIT;
	bool done = false;
	int todo;

	queue_flat_path(&path, "todo", a->id);
	todo = open_todo(a, path.s);
	if (todo >= 0) {
		done = look_at_message(a) && sort(s, a, todo, path.s);
		close(todo);
	}
	str_free(&path);
	return done;
}

static void
prepare(struct send *s, struct arrival *a)
{
	int i;

	if (!remove_old(a) || !read_todo(s, a))
		return;
	for (i = 0; i <= INFO; i++)
		if (a->files[i] >= 0) /* a hint: see qmail-queue */
			(void)!sync_file_range(a->files[i], 0, 0, SYNC_FILE_RANGE_WRITE);
}

static void
make_durable(struct arrival *a)
{
	int i;

	for (i = 0; i <= INFO && !a->again; i++)
		if (a->files[i] >= 0 && fsync(a->files[i]) < 0)
			fail(a, "writing out", directory_of(i));
}

/* A pass is due on each channel that somebody is left on; but for the one with a pass under way. */
static void
open_channels(struct send *s, struct message *m, const struct arrival *a, enum channel under_way)
{
	enum channel channel;

	for (channel = 0; channel < CHANNEL_COUNT; channel++) {
		m->open[channel] = is_early(a) ? a->channel == channel : a->files[channel] >= 0;
		if (m->open[channel] && channel != under_way)
			pass_due(s, channel, m, s->now);
	}
}

/* S5: the recipients' turn. */
static void
enter(struct send *s, struct arrival *a)
{
	struct message *m = message_find(&s->messages, a->id);
	struct str sender = STR_INIT;

	if (!m)
		m = message_add(&s->messages, a->id);
	/* One that comes again is as old as it was. */
	if (!m->birth)
		m->birth = s->now;
	m->state = MESSAGE_QUEUED;
	m->fresh = true;
	log_add_word(&sender, a->sender.s, a->sender.len);
	log_line("new msg %lu", a->id);
	log_line("info msg %lu: bytes %lu from <%s> qp %lu uid %lu", a->id, a->bytes, sender.s,
	    a->qp, a->uid);
	str_free(&sender);
	if (is_early(a))
		message_set_early(&s->messages, m, &a->sender, &a->recipient);
	open_channels(s, m, a, CHANNEL_COUNT);
	message_end_if_done(s, m);
}

static void
wait_in_todo(struct send *s, const struct arrival *a)
{
	struct message *m = message_find(&s->messages, a->id);

	if (!m)
		m = message_add(&s->messages, a->id);
	m->state = MESSAGE_WAITING;
	m->retry = s->now + a->again;
	if (s->todo_next > m->retry)
		s->todo_next = m->retry;
}

/* What waited there, and has been taken away by hand, is known no more. */
static void
forget(struct send *s, const struct arrival *a)
{
	struct message *m = message_find(&s->messages, a->id);

	if (m)
		message_drop(&s->messages, m);
}

static void
clean(struct send *s, struct arrival *arrivals, size_t count)
{
	unsigned long ids[CLEANER_BATCH];
	char answers[CLEANER_BATCH];
	size_t i, asked = 0;

	for (i = 0; i < count; i++)
		if (has_files(&arrivals[i]))
			ids[asked++] = arrivals[i].id;
	if (asked && !clean_up(s, CLEAN_TODO, ids, asked, answers))
		return;
	for (i = 0, asked = 0; i < count; i++) {
		if (!has_files(&arrivals[i]) || answers[asked++] == CLEAN_DONE)
			continue;
		log_line("warning: qmail-clean can't remove todo/%lu; will take the message in "
			 "later",
		    arrivals[i].id);
		arrivals[i].again = RETRY_TROUBLE;
	}
}

static void
open_arrival(struct arrival *a, unsigned long id)
{
	*a = (struct arrival){
	    .id = id, .sender = STR_INIT, .recipient = STR_INIT, .files = {-1, -1, -1}};
}

static void
close_arrival(struct arrival *a)
{
	int file;

	for (file = 0; file <= INFO; file++)
		if (a->files[file] >= 0)
			close(a->files[file]);
	str_free(&a->sender);
	str_free(&a->recipient);
}

static bool
may_be_early(const struct send *s, unsigned long id, size_t before)
{
	const struct message *m = message_find(&s->messages, id);

	return s->messages.early + before < EARLY_MOST && !(m && m->files_first);
}

static void
take_in(struct send *s, const unsigned long *ids, size_t count)
{
	struct arrival arrivals[CLEANER_BATCH];
	size_t i;

	for (i = 0; i < count; i++) {
		open_arrival(&arrivals[i], ids[i]);
		arrivals[i].may_be_early = may_be_early(s, ids[i], i);
		prepare(s, &arrivals[i]);
	}
	for (i = 0; i < count; i++)
		make_durable(&arrivals[i]);
	clean(s, arrivals, count);
	for (i = 0; i < count; i++) {
		if (s->lost)
			;
		else if (arrivals[i].gone)
			forget(s, &arrivals[i]);
		else if (arrivals[i].again)
			wait_in_todo(s, &arrivals[i]);
		else
			enter(s, &arrivals[i]);
		close_arrival(&arrivals[i]);
	}
}

/* How old it is, a restart learns from info. */
static void
keep_birth(const struct arrival *a, time_t birth)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = birth}};

	if (a->files[INFO] >= 0)
		futimens(a->files[INFO], times);
}

bool
intake_complete(struct send *s, enum channel channel, struct message *m)
{
	struct arrival a;

	open_arrival(&a, m->id);
	prepare(s, &a);
	if (a.gone)
		fail(&a, "opening", "todo");
	keep_birth(&a, m->birth);
	make_durable(&a);
	clean(s, &a, 1);
	message_end_early(&s->messages, m);
	m->files_first = true;
	m->open[CHANNEL_LOCAL] = m->open[CHANNEL_REMOTE] = false;
	if (a.again)
		wait_in_todo(s, &a);
	else
		open_channels(s, m, &a, channel);
	close_arrival(&a);
	return m->open[channel] && !s->lost;
}

/* May this entry be taken in now? One that is known and not waiting is on its way out. */
static bool
wanted(struct send *s, const char *name, unsigned long *id)
{
	const struct message *m;

	if (!number_parse(name, ULONG_MAX, id))
		return false;
	m = message_find(&s->messages, *id);
	if (m && m->state == MESSAGE_WAITING && m->retry > s->now && m->retry < s->todo_next)
		s->todo_next = m->retry;
	return !m || (m->state == MESSAGE_WAITING && m->retry <= s->now);
}

static void
next_look(struct send *s)
{
	closedir(s->todo);
	s->todo = NULL;
	wake_at(s, s->todo_next);
}

void
intake_step(struct send *s)
{
	unsigned long ids[CLEANER_BATCH];
	const struct dirent *entry = NULL;
	size_t count = 0;

	if (!s->todo) {
		if (!s->todo_wanted && s->now < s->todo_next) {
			wake_at(s, s->todo_next);
			return;
		}
		s->todo_wanted = false;
		s->todo = opendir("todo");
		if (!s->todo) {
			log_trouble("opening", "todo", "will try again");
			s->todo_next = s->now + RETRY_TROUBLE;
			wake_at(s, s->todo_next);
			return;
		}
		s->todo_next = s->now + LOOK_AGAIN;
	}
	while (count < CLEANER_BATCH && (entry = readdir(s->todo)))
		if (wanted(s, entry->d_name, &ids[count]))
			count++;
	take_in(s, ids, count);
	if (entry || count == CLEANER_BATCH)
		wake_at(s, s->now);
	else
		next_look(s);
	if (s->todo_wanted)
		wake_at(s, s->now);
}
