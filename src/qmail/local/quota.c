/* Room for a message: see quota.h. */
#include "local/quota.h"

#include "local/warning.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MARK "maildirfolder"

/* Whether the last part of a path is a folder's name: it begins with a dot, and is more than dots.
 */
static bool
names_folder(const char *path)
{
	size_t len = strlen(path), at;

	while (len && path[len - 1] == '/')
		len--;
	for (at = len; at && path[at - 1] != '/'; at--)
		;
	return len - at > 1 && path[at] == '.' && strspn(path + at, ".") < len - at;
}

static int
counting_maildir(int maildir, const char *path)
{
	bool folder =
	    names_folder(path) && faccessat(maildir, FOLDER_MARK, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	return openat(maildir, folder ? ".." : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What the message will take. */
static bool
measure(const struct delivery *d, unsigned long *bytes)
{
	struct stat about;

	if (fstat(0, &about))
		return false;
	*bytes = (unsigned long)about.st_size + d->return_path.len + d->delivered_to.len;
	return true;
}

static bool
fits(const struct room *room, unsigned long bytes)
{
	const struct quota *q = &room->quota;

	return bytes <= q->limit && q->used.bytes <= q->limit - bytes;
}

static void
tell(struct room *room, unsigned percent, const struct delivery *d)
{
	if (percent)
		warning_deliver(room->maildir, percent, &room->quota, d);
}

/* Who wasn't told yet, since his quota has become smaller, is told now. */
static enum outcome
refuse(struct room *room, unsigned long bytes, const struct delivery *d)
{
	tell(room, quota_note(&room->quota, true, 95), d);
	if (bytes > room->quota.limit) {
		report("This message is larger than the mailbox may be. (#5.2.2)");
		return OUTCOME_NEVER;
	}
	report("This mailbox is full. (#4.2.2)");
	return OUTCOME_LATER;
}

static enum outcome
look(struct room *room, const struct delivery *d)
{
	unsigned long bytes;
	bool known = measure(d, &bytes) && quota_look(&room->quota, room->maildir);

	/* Before anybody is turned away it is counted. */
	if (known && !fits(room, bytes) && !room->quota.settled)
		known = quota_count(&room->quota, room->maildir);
	if (!known) {
		report("Can't count what is in this mailbox: %s. (#4.3.0)", strerror(errno));
		return OUTCOME_LATER;
	}
	return fits(room, bytes) ? OUTCOME_DONE : refuse(room, bytes, d);
}

enum outcome
room_ask(struct room *room, int maildir, const char *path, const struct delivery *d)
{
	room->maildir = -1;
	room->limited = false;
	switch (quota_of(getuid(), &room->quota)) {
	case CDBFILE_ABSENT: return OUTCOME_DONE;
	case CDBFILE_FOUND: break;
	default: report("Can't use " QUOTA_DATABASE ". (#4.3.5)"); return OUTCOME_LATER;
	}
	room->limited = true;
	room->maildir = counting_maildir(maildir, path);
	return look(room, d);
}

void
room_taken(struct room *room, unsigned long bytes, const struct delivery *d)
{
	unsigned before;

	if (!room->limited)
		return;
	before = quota_percent(&room->quota);
	quota_add(&room->quota, room->maildir, (long)bytes, 1);
	tell(room, quota_note(&room->quota, false, before), d);
}

void
room_close(struct room *room)
{
	if (room->maildir >= 0)
		close(room->maildir);
}
