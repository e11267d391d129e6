/* How much is in a Maildir: see maildirquota.h. */
#include "lib/maildirquota.h"

#include "lib/bio.h"
#include "lib/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLED 900 /* seconds in which a count needs no other */
#define ROUNDS 3
#define LIMIT_MAX 999999999999999999UL /* what maildirsize can say */

static bool
is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* The limit */

static enum cdbfile
look_up(const struct cdbtable *table, struct quota *quota)
{
	struct str key = STR_INIT, value = STR_INIT;
	struct stat about;
	enum cdbfile found;

	str_add_number(&key, quota->uid);
	found = cdbtable_get(table, key.s, key.len, &value);
	if (found == CDBFILE_FOUND &&
	    (fstat(table->fd, &about) || !number_parse(value.s, LIMIT_MAX, &quota->limit)))
		found = CDBFILE_ERROR;
	if (found == CDBFILE_FOUND)
		quota->since = about.st_mtim;
	if (found == CDBFILE_FOUND && !quota->limit)
		found = CDBFILE_ABSENT;
	str_free(&key);
	str_free(&value);
	return found;
}

enum cdbfile
quota_of(uid_t uid, struct quota *quota)
{
	struct str path = STR_INIT;
	struct cdbtable table;
	enum cdbfile found;

	*quota = (struct quota){.uid = uid};
	str_set(&path, home());
	str_add(&path, "/" QUOTA_DATABASE);
	found = cdbtable_open(&table, path.s);
	str_free(&path);
	if (found != CDBFILE_FOUND)
		return found;
	found = look_up(&table, quota);
	cdbtable_close(&table);
	return found;
}

/* Counting */

typedef bool visitor(void *context, int maildir, const char *directory);

static bool
visit_both(int maildir, const char *folder, visitor *visit, void *context)
{
	struct str path = STR_INIT;
	bool done;

	str_addf(&path, "%s/new", folder);
	done = visit(context, maildir, path.s);
	str_clear(&path);
	str_addf(&path, "%s/cur", folder);
	done = done && visit(context, maildir, path.s);
	str_free(&path);
	return done;
}

/* Whether an entry of a Maildir is a folder of it. */
static bool
is_folder(int maildir, const struct dirent *entry)
{
	struct stat about;

	if (entry->d_name[0] != '.' || !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
		return false;
	return fstatat(maildir, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(about.st_mode);
}

/* A stream of our own over a directory below maildir, or NULL. */
static DIR *
open_directory(int maildir, const char *path)
{
	int fd = openat(maildir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);

	if (!entries && fd >= 0)
		close(fd);
	return entries;
}

/* new and cur of the Maildir and of each folder in it. */
static bool
visit_all(int maildir, visitor *visit, void *context)
{
	DIR *entries = open_directory(maildir, ".");
	const struct dirent *entry;
	bool done;

	if (!entries)
		return false;
	done = visit_both(maildir, ".", visit, context);
	while (done && (errno = 0, entry = readdir(entries)))
		if (is_folder(maildir, entry))
			done = visit_both(maildir, entry->d_name, visit, context);
	done = done && errno == 0;
	closedir(entries);
	return done;
}

/* When a message last came into or went from a directory. */
static bool
take_latest(void *context, int maildir, const char *directory)
{
	struct timespec *latest = context;
	struct stat about;

	if (fstatat(maildir, directory, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
	    is_before(latest, &about.st_mtim))
		*latest = about.st_mtim;
	return true;
}

static void
add_file(struct maildirsize *sum, int directory, const char *name)
{
	unsigned long bytes;
	struct stat about;

	if (name[0] == '.')
		return;
	if (!maildirsize_of_name(name, &bytes)) {
		if (fstatat(directory, name, &about, AT_SYMLINK_NOFOLLOW))
			return; /* gone meanwhile */
		bytes = (unsigned long)about.st_size;
	}
	/* Names may say anything; what no file system holds is as good as its double. */
	sum->bytes = sum->bytes > LIMIT_MAX - bytes ? LIMIT_MAX : sum->bytes + bytes;
	sum->count++;
}

static bool
add_directory(void *context, int maildir, const char *directory)
{
	DIR *entries = open_directory(maildir, directory);
	const struct dirent *entry;
	bool done;

	if (!entries)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
	while (errno = 0, entry = readdir(entries))
		add_file(context, dirfd(entries), entry->d_name);
	done = errno == 0;
	closedir(entries);
	return done;
}

/* The new file takes the old one's place at once; without it the next one counts again. */
static void
write_anew(const struct quota *quota, int maildir)
{
	struct str name = STR_INIT, text = STR_INIT;
	struct timespec now;
	bool done;
	int fd;

	clock_gettime(CLOCK_REALTIME, &now);
	str_addf(&name, "tmp/%lld.M%06ldP%ld." MAILDIRSIZE_NAME, (long long)now.tv_sec,
	    now.tv_nsec / 1000, (long)getpid());
	maildirsize_format(&text, quota->limit, &quota->used);
	fd = openat(maildir, name.s, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		done = fd_write_all(fd, text.s, text.len);
		close(fd);
		if (!done || renameat(maildir, name.s, maildir, MAILDIRSIZE_NAME))
			unlinkat(maildir, name.s, 0);
	}
	str_free(&name);
	str_free(&text);
}

bool
quota_count(struct quota *quota, int maildir)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		struct timespec before = {0}, after = {0};

		quota->used = (struct maildirsize){.lines = 1};
		if (!visit_all(maildir, take_latest, &before) ||
		    !visit_all(maildir, add_directory, &quota->used) ||
		    !visit_all(maildir, take_latest, &after))
			return false;
		/* Somebody delivered or deleted while we counted: he is in it, or isn't. */
		if (!is_before(&before, &after))
			break;
	}
	quota->settled = true;
	write_anew(quota, maildir);
	return true;
}

/* The file */

/* The text is the caller's to free. */
static bool
read_file(int maildir, struct stat *about, struct str *text)
{
	int fd = openat(maildir, MAILDIRSIZE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool done = false;
	ssize_t got = 0;

	if (fd < 0)
		return false;
	str_reserve(text, MAILDIRSIZE_MAX + 1);
	if (fstat(fd, about) == 0 && S_ISREG(about->st_mode))
		while (
		    (got = fd_read(fd, text->s + text->len, MAILDIRSIZE_MAX + 1 - text->len)) > 0)
			text->len += (size_t)got;
	done = S_ISREG(about->st_mode) && got == 0 && text->len <= MAILDIRSIZE_MAX;
	text->s[text->len] = 0;
	close(fd);
	return done;
}

bool
quota_known(struct quota *quota, int maildir)
{
	struct str text = STR_INIT;
	struct stat about = {0};
	bool taken = read_file(maildir, &about, &text) &&
		     !is_before(&about.st_mtim, &quota->since) &&
		     maildirsize_parse(text.s, text.len, quota->limit, &quota->used);

	str_free(&text);
	quota->settled = taken && quota->used.lines == 1 && about.st_mtime > time(NULL) - SETTLED;
	return taken;
}

bool
quota_look(struct quota *quota, int maildir)
{
	return quota_known(quota, maildir) || quota_count(quota, maildir);
}

static unsigned long
changed(unsigned long number, long by)
{
	if (by < 0)
		return number > -(unsigned long)by ? number - -(unsigned long)by : 0;
	return number + (unsigned long)by;
}

void
quota_add(struct quota *quota, int maildir, long bytes, long count)
{
	int fd = openat(
	    maildir, MAILDIRSIZE_NAME, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct str line = STR_INIT;

	quota->used.bytes = changed(quota->used.bytes, bytes);
	quota->used.count = changed(quota->used.count, count);
	if (fd < 0)
		return;
	maildirsize_add(&line, bytes, count);
	/* What isn't in it whole would be missing from now on: so let it be counted anew. */
	if (fd_write(fd, line.s, line.len) != (ssize_t)line.len)
		unlinkat(maildir, MAILDIRSIZE_NAME, 0);
	close(fd);
	str_free(&line);
}

/* The note */

/* Whether so much is used as leaves but a part of the limit, one of so many. */
static bool
leaves(const struct quota *quota, unsigned parts)
{
	return quota->used.bytes >= quota->limit - quota->limit / parts;
}

unsigned
quota_percent(const struct quota *quota)
{
	return leaves(quota, 20) ? 95 : leaves(quota, 5) ? 80 : 0;
}

/* What the user was told, less what is 5 percent away again. */
static unsigned
still_told(const struct quota *quota, unsigned told)
{
	if (!leaves(quota, 4))
		return 0;
	return told == 95 && !leaves(quota, 10) ? 80 : told;
}

static int
open_note(uid_t uid)
{
	struct str path = STR_INIT;
	int fd;

	str_set(&path, home());
	str_add(&path, "/" QUOTA_NOTES "/");
	str_add_number(&path, uid);
	fd = open(path.s, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	str_free(&path);
	return fd;
}

static unsigned
read_told(int fd)
{
	char line[QUOTA_NOTE + 1] = "";
	unsigned told = 0;

	if (pread(fd, line, QUOTA_NOTE, 0) != QUOTA_NOTE ||
	    sscanf(line, "%*20[0-9] %*20[0-9] %*4[a-z0-9] %2u", &told) != 1)
		return 0;
	return told == 80 || told == 95 ? told : 0;
}

static void
write_note(int fd, const struct quota *quota, bool full, unsigned told)
{
	unsigned percent = quota_percent(quota);
	struct str line = STR_INIT;

	str_addf(&line, "%lu %lu %s %u", quota->used.bytes, quota->limit,
	    full            ? "full"
	    : percent == 95 ? "95"
	    : percent == 80 ? "80"
			    : "ok",
	    told);
	while (line.len < QUOTA_NOTE - 1)
		str_add_char(&line, ' ');
	str_add_char(&line, '\n');
	/* Of its own length always, so that a reader never sees parts of two. */
	if (line.len == QUOTA_NOTE && pwrite(fd, line.s, line.len, 0) != QUOTA_NOTE)
		say("%s: %s\n", QUOTA_NOTES, strerror(errno));
	str_free(&line);
}

unsigned
quota_note(const struct quota *quota, bool full, unsigned before)
{
	int fd = open_note(quota->uid);
	unsigned percent = quota_percent(quota), told;

	if (fd < 0)
		return percent > before ? percent : 0;
	told = still_told(quota, read_told(fd));
	write_note(fd, quota, full, percent > told ? percent : told);
	close(fd);
	return percent > told ? percent : 0;
}

void
quota_note_less(const struct quota *quota)
{
	int fd = open_note(quota->uid);

	if (fd < 0)
		return;
	write_note(fd, quota, false, still_told(quota, read_told(fd)));
	close(fd);
}
