/* A message on its way into the queue: see entry.h. */
#include "queue/entry.h"

#include "lib/journal.h"
#include "lib/queuefs.h"
#include "lib/when.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_TRIES 16 /* of a pid file, and of inode numbers */

void
entry_undo(struct entry *entry)
{
	if (*entry->intd_path)
		unlink(entry->intd_path);
	if (*entry->mess_path)
		unlink(entry->mess_path);
	if (*entry->pid_path)
		unlink(entry->pid_path);
	*entry->intd_path = *entry->mess_path = *entry->pid_path = 0;
}

static bool
fail(struct entry *entry, enum code code)
{
	if (!entry->code)
		entry->code = code;
	return false;
}

static int
open_pid_file(struct entry *entry)
{
	char path[ENTRY_PATH];
	unsigned attempt;

	for (attempt = 0; attempt < NAME_TRIES; attempt++) {
		struct timespec now;
		int fd;

		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(path, sizeof path, "pid/%ld.%lld.%ld", (long)getpid(),
		    (long long)now.tv_sec, now.tv_nsec);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd >= 0) {
			memcpy(entry->pid_path, path, sizeof path);
			return fd;
		}
		if (errno != EEXIST)
			break;
	}
	return -1;
}

static bool
set_path(char *to, const char *directory, bool split, unsigned long id)
{
	struct str path = STR_INIT;
	bool fits;

	queue_path(&path, directory, split, id);
	fits = path.len < ENTRY_PATH;
	if (fits)
		memcpy(to, path.s, path.len + 1);
	str_free(&path);
	return fits;
}

/* From pid/X to mess/ID; false, with errno. */
static bool
name_mess_file(struct entry *entry, int fd)
{
	char path[ENTRY_PATH];
	struct stat file;

	if (fstat(fd, &file) < 0)
		return false;
	entry->id = file.st_ino;
	errno = ENAMETOOLONG;
	if (!set_path(path, "mess", true, entry->id) || link(entry->pid_path, path) < 0)
		return false;
	memcpy(entry->mess_path, path, sizeof path);
	if (unlink(entry->pid_path) < 0)
		return false;
	*entry->pid_path = 0;
	return true;
}

/*
 * Its number is free by the rule that mess/ID has inode ID; where a queue was restored file by file
 * the rule may be broken, so a name that is taken is left alone and the inode is kept busy while
 * another is tried.
 */
bool
entry_make_mess(struct entry *entry)
{
	int busy[NAME_TRIES];
	unsigned attempt, i;
	bool made = false;

	for (attempt = 0; attempt < NAME_TRIES && !made; attempt++) {
		busy[attempt] = open_pid_file(entry);
		if (busy[attempt] < 0) {
			fail(entry, CODE_PID_FILE);
			break;
		}
		made = name_mess_file(entry, busy[attempt]);
		if (!made && (errno != EEXIST || unlink(entry->pid_path) < 0))
			break;
		if (!made)
			*entry->pid_path = 0;
	}
	if (made)
		entry->mess = busy[--attempt];
	for (i = 0; i < attempt; i++)
		close(busy[i]);
	return made || fail(entry, CODE_MESS_FILE);
}

bool
entry_make_intd(struct entry *entry)
{
	char path[ENTRY_PATH];

	if (!set_path(path, "intd", false, entry->id))
		return fail(entry, CODE_INTERNAL);
	entry->intd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (entry->intd < 0)
		return fail(entry, CODE_INTD_FILE);
	memcpy(entry->intd_path, path, sizeof path);
	return true;
}

size_t
entry_trace(char *to, size_t size, unsigned long number, const char *whence)
{
	struct str date = STR_INIT;
	int len;

	when_822(&date, time(NULL));
	len = snprintf(to, size, "Received: (qmail %lu invoked %s); %s\n", number, whence, date.s);
	str_free(&date);
	return len < 0 || (size_t)len >= size ? 0 : (size_t)len;
}

static bool
synced(int fd)
{
	return fsync(fd) == 0;
}

void
entries_write_out(struct entry *const *entries, size_t count, bool ordered)
{
	bool (*done)(int) = ordered ? journal_write_out : synced;
	size_t i;

	for (i = 0; i < count; i++) {
		if (entries[i]->code)
			continue;
		journal_begin_write_out(entries[i]->mess);
		journal_begin_write_out(entries[i]->intd);
	}
	for (i = 0; i < count; i++)
		if (!entries[i]->code && (!done(entries[i]->mess) || !done(entries[i]->intd)))
			fail(entries[i], CODE_WRITE);
}

static bool
link_todo(struct entry *entry)
{
	char path[ENTRY_PATH];

	if (!set_path(path, "todo", false, entry->id) || link(entry->intd_path, path) < 0)
		return fail(entry, CODE_TODO_FILE);
	*entry->intd_path = *entry->mess_path = 0;
	return true;
}

void
entries_enter(struct entry *const *entries, size_t count, bool ordered)
{
	const struct entry *last = NULL;
	size_t i;

	for (i = 0; i < count; i++)
		if (!entries[i]->code && link_todo(entries[i]))
			last = entries[i];
	if (!last)
		return;
	if (!(ordered ? synced(last->intd) : directory_sync("todo")))
		for (i = 0; i < count; i++)
			fail(entries[i], CODE_TODO_FILE);
	queue_trigger();
}
