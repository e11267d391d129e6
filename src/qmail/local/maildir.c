/* Delivery into a Maildir: see maildir.h. */
#include "local/maildir.h"

#include "lib/journal.h"
#include "local/limit.h"
#include "local/maildirname.h"
#include "local/message.h"
#include "local/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define TIME_LIMIT 86400
#define NAME_ATTEMPTS 3

struct maildir {
	const char *path;
	int base, tmp, new;
	struct str name;
};

/* A file that is written, and what has gone into it. */
struct counted {
	int fd;
	unsigned long bytes, short_ends; /* line ends of one byte */
	char last;
};

static void
choose_name(struct str *name)
{
	static unsigned long deliveries;
	char host[256] = "";
	struct timeval now;

	gettimeofday(&now, NULL);
	if (gethostname(host, sizeof host - 1))
		strcpy(host, "localhost");
	str_clear(name);
	str_addf(name, "%lld.M%06ldP%ldQ%lu.", (long long)now.tv_sec, (long)now.tv_usec,
	    (long)getpid(), ++deliveries);
	maildir_add_host(name, host);
}

/* A new file in tmp, or -1. */
static int
create(struct maildir *dir)
{
	int attempt, fd = -1;

	for (attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
		choose_name(&dir->name);
		fd = openat(dir->tmp, dir->name.s,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd;
}

static ssize_t
write_counted(void *context, const char *bytes, size_t len)
{
	struct counted *file = context;
	ssize_t put = limit_write((void *)(intptr_t)file->fd, bytes, len), at;

	for (at = 0; at < put; at++) {
		if (bytes[at] == '\n' && file->last != '\r')
			file->short_ends++;
		file->last = bytes[at];
	}
	if (put > 0)
		file->bytes += (unsigned long)put;
	return put;
}

static bool
write_message(struct counted *file, const struct delivery *d, bool ordered)
{
	static struct message message;
	static char buffer[16384];
	struct out out;

	out_open(&out, write_counted, file, buffer, sizeof buffer);
	out_str(&out, &d->return_path);
	out_str(&out, &d->delivered_to);
	message_open(&message);
	return message_copy(&message, &out) && out_flush(&out) &&
	       (ordered ? journal_write_out(file->fd) : fsync(file->fd) == 0);
}

static void
add_sizes(struct str *name, const struct counted *file)
{
	str_addf(name, ",S=%lu", file->bytes);
	if (file->last == '\n')
		str_addf(name, ",W=%lu", file->bytes + file->short_ends);
}

/*
 * From tmp to new. What can't be made durable there is taken back, and tried again later.
 *
 * Where the file system has one log of all changes, what makes the name durable is fsync of the
 * file, whose bytes are on the device already; elsewhere the file is synced, and so is new.
 */
static bool
publish(const struct maildir *dir, const struct counted *file, bool ordered)
{
	struct str name = STR_INIT;
	bool done;
	int error;

	str_set_str(&name, &dir->name);
	add_sizes(&name, file);
	done = linkat(dir->tmp, dir->name.s, dir->new, name.s, 0) == 0;
	if (done && fsync(ordered ? file->fd : dir->new)) {
		done = false;
		error = errno;
		unlinkat(dir->new, name.s, 0);
		errno = error;
	}
	str_free(&name);
	return done;
}

static enum outcome
deliver(struct maildir *dir, const struct delivery *d, unsigned long *bytes)
{
	struct counted file = {.fd = create(dir)};
	bool done, ordered;
	int error;

	if (file.fd < 0) {
		report("Can't create a file in %stmp: %s. (#4.3.0)", dir->path, strerror(errno));
		return OUTCOME_LATER;
	}
	ordered = journal_orders(file.fd);
	done = write_message(&file, d, ordered) && publish(dir, &file, ordered);
	error = errno;
	close(file.fd);
	unlinkat(dir->tmp, dir->name.s, 0);
	*bytes = file.bytes;
	if (done)
		return OUTCOME_DONE;
	report("Can't deliver into %s: %s. (#4.3.0)", dir->path, strerror(error));
	return OUTCOME_LATER;
}

static enum outcome
deliver_if_room(struct maildir *dir, const struct delivery *d)
{
	unsigned long bytes;
	struct room room;
	enum outcome outcome = room_ask(&room, dir->base, dir->path, d);

	if (outcome == OUTCOME_DONE)
		outcome = deliver(dir, d, &bytes);
	if (outcome == OUTCOME_DONE)
		room_taken(&room, bytes, d);
	room_close(&room);
	return outcome;
}

static int
open_part(int directory, const char *name)
{
	return openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

enum outcome
maildir_deliver(const char *directory, const struct delivery *d)
{
	struct maildir dir = {.path = directory, .tmp = -1, .new = -1, .name = STR_INIT};
	enum outcome outcome = OUTCOME_LATER;

	dir.base = open_part(AT_FDCWD, directory);
	if (dir.base >= 0) {
		dir.tmp = open_part(dir.base, "tmp");
		dir.new = open_part(dir.base, "new");
	}
	if (dir.tmp < 0 || dir.new < 0) {
		report("%s is not a Maildir that can be delivered to: %s. (#4.2.1)", directory,
		    strerror(errno));
	} else {
		limit_start(TIME_LIMIT);
		outcome = deliver_if_room(&dir, d);
		limit_end();
	}
	if (dir.tmp >= 0)
		close(dir.tmp);
	if (dir.new >= 0)
		close(dir.new);
	if (dir.base >= 0)
		close(dir.base);
	str_free(&dir.name);
	return outcome;
}
