/* What lies in a queue: see contents.h. Nothing is changed, and no link is followed to be read. */
#include "queue/contents.h"

#include "lib/addr.h"
#include "lib/queuefs.h"
#include "queue/cleaner.h"
#include "queue/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400
/* What a dead qmail-queue has left is removed once a day. */
#define SWEPT (ABANDONED + DAY)
/* A message outlives its lifetime until its next attempt, which fails for good, and its bounce. */
#define OVERTIME(lifetime) ((lifetime) + (lifetime) / 10 + 2 * DAY)

enum kind { MESS, INTD, TODO, INFO, LOCAL, REMOTE, BOUNCE, KINDS };

static const struct {
	const char *name;
	enum identity owner;
	bool split;
} kinds[KINDS] = {
    [MESS] = {"mess", IDENTITY_QUEUE, true},
    [INTD] = {"intd", IDENTITY_QUEUE, false},
    [TODO] = {"todo", IDENTITY_QUEUE, false},
    [INFO] = {"info", IDENTITY_SEND, true},
    [LOCAL] = {"local", IDENTITY_SEND, true},
    [REMOTE] = {"remote", IDENTITY_SEND, true},
    [BOUNCE] = {"bounce", IDENTITY_SEND, false},
};

struct look {
	const struct contents *c;
	time_t now;
	unsigned long faults;
	const char *directory; /* the one that is being read, below the home */
	enum kind kind;
	unsigned part;
};

/* The name comes from whoever made it, and goes to a terminal. */
static void
tell(struct look *l, const char *name, const struct str *text)
{
	struct str path = STR_INIT;

	if (l->faults++ < CONTENTS_MOST) {
		str_set(&path, l->directory);
		str_add_char(&path, '/');
		add_printable(&path, name, strlen(name), strlen(name));
		l->c->tell(path.s, text->s);
	}
	str_free(&path);
}

static void __attribute__((format(printf, 3, 4)))
tell_of(struct look *l, const char *name, const char *format, ...)
{
	struct str text = STR_INIT;
	char buffer[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(buffer, sizeof buffer, format, arguments);
	va_end(arguments);
	str_set(&text, buffer);
	tell(l, name, &text);
	str_free(&text);
}

/* What can't be looked at counts as there: its directory's difference is told elsewhere. */
static bool
is_there(const struct look *l, enum kind kind, unsigned long id)
{
	struct str inner = STR_INIT, path = STR_INIT;
	struct stat file;
	bool there;

	queue_path(&inner, kinds[kind].name, kinds[kind].split, id);
	str_set(&path, "queue/");
	str_add_str(&path, &inner);
	there = fstatat(l->c->home, path.s, &file, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
	str_free(&inner);
	str_free(&path);
	return there;
}

/*
 * Has the message this file, but neither of those that it must have with it? Between two looks
 * a message may come or go, so each is asked for twice, the file itself last.
 */
static bool
lacks(const struct look *l, unsigned long id, enum kind one, enum kind other)
{
	int again;

	for (again = 0; again < 2; again++)
		if (is_there(l, one, id) || is_there(l, other, id) || !is_there(l, l->kind, id))
			return false;
	return true;
}

static void
judge_state(struct look *l, const char *name, unsigned long id, const struct stat *file)
{
	time_t age = l->now - file->st_mtime;

	if (l->kind != MESS && lacks(l, id, MESS, MESS)) {
		tell_of(l, name, "has no message: there is no queue/mess/%lu/%lu", id % QUEUE_SPLIT,
		    id);
		return;
	}
	switch (l->kind) {
	case MESS:
		if (age > SWEPT && lacks(l, id, INFO, TODO))
			tell_of(l, name, "has neither info nor todo, and was not cleaned up");
		break;
	case INTD:
		if (age > SWEPT && lacks(l, id, TODO, TODO))
			tell_of(l, name, "has no todo, and was not cleaned up");
		break;
	case TODO:
		if (age > DAY)
			tell_of(l, name, "waits to be taken in for more than a day");
		break;
	case INFO:
		if (age > OVERTIME(l->c->lifetime))
			tell_of(l, name,
			    "is in the queue for %lld hours, control/queuelifetime is %lld",
			    (long long)age / 3600, (long long)l->c->lifetime / 3600);
		break;
	default:
		if (lacks(l, id, INFO, TODO))
			tell_of(l, name, "has no info");
		break;
	}
}

static void
judge_message(struct look *l, int directory, const char *name)
{
	enum identity owner = kinds[l->kind].owner;
	struct stat file;
	unsigned long id;
	char canonical[32];

	if (!number_parse(name, ULONG_MAX, &id) ||
	    (snprintf(canonical, sizeof canonical, "%lu", id), strcmp(canonical, name) != 0)) {
		tell_of(l, name, "is no message's");
	} else if (kinds[l->kind].split && id % QUEUE_SPLIT != l->part) {
		tell_of(
		    l, name, "belongs into queue/%s/%lu", kinds[l->kind].name, id % QUEUE_SPLIT);
	} else if (fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) < 0) {
		return; /* it has gone meanwhile */
	} else if (!S_ISREG(file.st_mode)) {
		tell_of(l, name, "is no regular file");
	} else if (file.st_uid != l->c->owners[owner]) {
		tell_of(l, name, "uid %lu, should be %s (%lu)", (unsigned long)file.st_uid,
		    identity_names[owner], (unsigned long)l->c->owners[owner]);
	} else {
		judge_state(l, name, id, &file);
	}
}

static void
judge_pid_file(struct look *l, int directory, const char *name)
{
	struct stat file;

	if (fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!S_ISREG(file.st_mode))
		tell_of(l, name, "is no regular file");
	else if (l->now - file.st_mtime > SWEPT)
		tell_of(l, name, "was left by a qmail-queue, and was not cleaned up");
}

/* A name that the layout has, or one of the directories that it splits one into. */
static void
judge_name(struct look *l, int directory, const char *name)
{
	size_t i, len = strlen(l->directory);
	unsigned long part;

	(void)directory;
	for (i = 0; i < layout_home_count; i++) {
		const struct layout_entry *entry = &layout_home[i];

		if (entry->split && !strcmp(entry->path, l->directory) &&
		    number_parse(name, QUEUE_SPLIT - 1, &part) && (name[0] != '0' || !name[1]))
			return;
		if (!strncmp(entry->path, l->directory, len) && entry->path[len] == '/' &&
		    !strcmp(entry->path + len + 1, name))
			return;
	}
	tell_of(l, name, "is no part of the queue");
}

static bool
go_through(struct look *l, const char *path, void (*judge)(struct look *, int, const char *))
{
	int fd = openat(l->c->home, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool read;

	if (!directory) {
		if (fd >= 0)
			close(fd);
		/* One that is missing, or no directory, is told with the layout. */
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
	}
	l->directory = path;
	while (errno = 0, (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			judge(l, fd, entry->d_name);
	read = errno == 0;
	closedir(directory);
	return read;
}

static bool
go_through_kind(struct look *l, enum kind kind, char *path, size_t size)
{
	l->kind = kind;
	snprintf(path, size, "queue/%s", kinds[kind].name);
	if (!kinds[kind].split)
		return go_through(l, path, judge_message);
	if (!go_through(l, path, judge_name))
		return false;
	for (l->part = 0; l->part < QUEUE_SPLIT; l->part++) {
		snprintf(path, size, "queue/%s/%u", kinds[kind].name, l->part);
		if (!go_through(l, path, judge_message))
			return false;
	}
	return true;
}

bool
contents_check(const struct contents *c, unsigned long *faults, const char **where)
{
	static char path[64];
	struct look l = {.c = c, .now = time(NULL)};
	enum kind kind;
	bool done;

	*where = "queue";
	done = go_through(&l, "queue", judge_name);
	if (done) {
		*where = "queue/lock";
		done = go_through(&l, "queue/lock", judge_name);
	}
	if (done) {
		*where = "queue/pid";
		done = go_through(&l, "queue/pid", judge_pid_file);
	}
	for (kind = 0; done && kind < KINDS; kind++) {
		*where = path;
		done = go_through_kind(&l, kind, path, sizeof path);
	}
	*faults = l.faults;
	return done;
}
