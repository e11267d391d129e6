/* Maildirs for POP3: see maildrop.h. */
#include "pop3/maildrop.h"

#include "lib/maildirquota.h"
#include "lib/mem.h"
#include "pop3/transmit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OLD (36 * 60 * 60)
#define DIRECTORY_LEN 4 /* "new/", "cur/" */
#define SETTLED 2       /* seconds; the times of some file systems have whole ones */

/* Fewer messages, and of fewer bytes, are read anew by each session: that costs less than notes. */
#define NOTE_MESSAGES 16
#define NOTE_BYTES (1UL << 20)

const char *
maildrop_path(const struct maildrop *drop, size_t number)
{
	return drop->names.s + drop->messages[number].path;
}

static size_t
unique_len(const char *name)
{
	return strcspn(name, ":");
}

static size_t
add_path(struct str *names, const char *directory, const char *name)
{
	size_t at = names->len;

	str_add(names, directory);
	str_add_bytes(names, name, strlen(name) + 1);
	return at;
}

/* The seconds that a Maildir name starts with; 0 where it starts otherwise. */
static long long
name_time(const char *name)
{
	long long seconds = 0;
	int digits;

	for (digits = 0; digits < 17 && name[digits] >= '0' && name[digits] <= '9'; digits++)
		seconds = seconds * 10 + (name[digits] - '0');
	return name[digits] == '.' ? seconds : 0;
}

/* The number behind ",KEY=" in the unique part of a name. */
static bool
name_number(const char *name, char key, unsigned long *number)
{
	const char *end = name + unique_len(name), *at;
	char digits[20];
	size_t len;

	for (at = name; at + 3 < end; at++)
		if (at[0] == ',' && at[1] == key && at[2] == '=')
			break;
	if (at + 3 >= end)
		return false;
	len = strspn(at + 3, "0123456789");
	if (len >= sizeof digits || (at + 3 + len < end && at[3 + len] != ','))
		return false;
	memcpy(digits, at + 3, len);
	digits[len] = 0;
	return number_parse(digits, ULONG_MAX, number);
}

/* Takes the size from the name, unless it is one that such a file can't have. */
static void
read_size(struct message *message, const char *name)
{
	unsigned long stored = (unsigned long)message->stored, said;

	if (name_number(name, 'S', &said) && said != stored)
		return;
	message->measured = name_number(name, 'W', &message->size) && message->size >= stored &&
			    message->size / 2 <= stored;
}

static void
add_message(
    struct maildrop *drop, const char *directory, const char *name, const struct stat *about)
{
	long long when = name_time(name);

	if (drop->count == drop->capacity) {
		drop->capacity = drop->capacity ? drop->capacity * 2 : 64;
		drop->messages = mem_resize(drop->messages, drop->capacity, sizeof *drop->messages);
	}
	drop->messages[drop->count] = (struct message){
	    .path = add_path(&drop->names, directory, name),
	    .stored = about->st_size,
	    .time = when ? when : about->st_mtime,
	};
	read_size(&drop->messages[drop->count++], name);
}

static bool
scan(struct maildrop *drop, const char *directory)
{
	DIR *entries = opendir(directory);
	const struct dirent *entry;
	bool complete;

	if (!entries)
		return false;
	errno = 0;
	while (drop->count < MAILDROP_MAX && (entry = readdir(entries))) {
		struct stat about;

		if (entry->d_name[0] != '.' &&
		    fstatat(dirfd(entries), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(about.st_mode))
			add_message(drop, directory, entry->d_name, &about);
		errno = 0;
	}
	complete = errno == 0;
	closedir(entries);
	return complete;
}

static int
older(const void *a, const void *b, void *context)
{
	const struct message *x = a, *y = b;
	const struct maildrop *drop = context;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return strcmp(
	    drop->names.s + x->path + DIRECTORY_LEN, drop->names.s + y->path + DIRECTORY_LEN);
}

/* Renames, but never over another message. */
static bool
rename_apart(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return true;
	/* Not every file system can. */
	if (errno != EINVAL && errno != ENOSYS)
		return false;
	return link(from, to) == 0 && unlink(from) == 0;
}

static int
compare_unique(const char *x, const char *y)
{
	size_t x_len = unique_len(x), y_len = unique_len(y);
	int order = memcmp(x, y, x_len < y_len ? x_len : y_len);

	return order ? order : (x_len > y_len) - (x_len < y_len);
}

/*
 * Gives a message a unique name of its own, with its time, sizes and flags: a name that no client
 * has seen, so nobody takes it for the other one, now or in a later session. False where it has
 * gone: it was moved, and seen twice.
 */
static bool
set_apart(struct maildrop *drop, struct message *message)
{
	static unsigned long renamed;
	const char *path = drop->names.s + message->path, *name = path + DIRECTORY_LEN;
	const char *sizes = strchr(name, ','), *rest = name + unique_len(name);
	struct str fresh = STR_INIT;
	struct timespec now;
	bool done = false;
	int attempt;

	if (sizes && sizes < rest && (sizes[1] == 'S' || sizes[1] == 'W') && sizes[2] == '=')
		rest = sizes;
	clock_gettime(CLOCK_REALTIME, &now);
	for (attempt = 0; attempt < 3 && !done; attempt++) {
		str_set_bytes(&fresh, path, DIRECTORY_LEN);
		str_addf(&fresh, "%lld.M%06ldP%ldQ%lu.pop3d", message->time, now.tv_nsec / 1000,
		    (long)getpid(), ++renamed);
		str_add(&fresh, rest);
		done = rename_apart(path, fresh.s);
	}
	message->twin = !done;
	if (done)
		message->path = add_path(&drop->names, "", fresh.s);
	str_free(&fresh);
	return done || errno != ENOENT;
}

static int
by_unique_then_path(const void *a, const void *b, void *context)
{
	const struct message *x = a, *y = b;
	const char *names = ((const struct maildrop *)context)->names.s;
	int order =
	    compare_unique(names + x->path + DIRECTORY_LEN, names + y->path + DIRECTORY_LEN);

	return order ? order : strcmp(names + x->path, names + y->path);
}

/* Of equal ones in new/ and cur/, clients know the one in cur/: it keeps its name. */
static void
part_twins(struct maildrop *drop)
{
	size_t kept = 1, first = 0, i;

	qsort_r(drop->messages, drop->count, sizeof *drop->messages, by_unique_then_path, drop);
	for (i = 1; i < drop->count; i++) {
		drop->messages[kept] = drop->messages[i];
		if (compare_unique(maildrop_path(drop, first) + DIRECTORY_LEN,
			maildrop_path(drop, kept) + DIRECTORY_LEN))
			first = kept++;
		else if (set_apart(drop, &drop->messages[kept]))
			kept++;
	}
	drop->count = kept;
}

bool
maildrop_open(struct maildrop *drop)
{
	if (!scan(drop, "new/") || !scan(drop, "cur/"))
		return false;
	if (drop->count)
		part_twins(drop);
	if (drop->count)
		qsort_r(drop->messages, drop->count, sizeof *drop->messages, older, drop);
	return true;
}

static void
forget_index(struct maildrop *drop)
{
	free(drop->index);
	drop->index = NULL;
	drop->index_count = 0;
	str_clear(&drop->current);
}

void
maildrop_free(struct maildrop *drop)
{
	forget_index(drop);
	str_free(&drop->current);
	str_free(&drop->names);
	sizes_free(&drop->sizes);
	free(drop->messages);
	drop->messages = NULL;
	drop->count = drop->capacity = 0;
}

void
maildrop_clean(void)
{
	DIR *entries = opendir("tmp");
	time_t old = time(NULL) - OLD;
	const struct dirent *entry;

	if (!entries)
		return;
	while ((entry = readdir(entries))) {
		struct stat about;

		if (entry->d_name[0] != '.' &&
		    fstatat(dirfd(entries), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
		    about.st_atime < old && about.st_mtime < old)
			unlinkat(dirfd(entries), entry->d_name, 0);
	}
	closedir(entries);
}

static int
by_unique(const void *a, const void *b)
{
	return compare_unique(*(const char *const *)a, *(const char *const *)b);
}

/* Remembers how old the directory is that is about to be read. */
static void
note_index_time(struct maildrop *drop, DIR *entries)
{
	struct timespec now;
	struct stat about;

	drop->index_settled = entries && fstat(dirfd(entries), &about) == 0;
	if (!drop->index_settled)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	drop->index_time = about.st_mtim;
	drop->index_settled = now.tv_sec - about.st_mtim.tv_sec >= SETTLED;
}

/* Has nothing come into cur/, or gone, since it was read? */
static bool
index_current(const struct maildrop *drop)
{
	struct stat about;

	return drop->index_settled && stat("cur", &about) == 0 &&
	       about.st_mtim.tv_sec == drop->index_time.tv_sec &&
	       about.st_mtim.tv_nsec == drop->index_time.tv_nsec;
}

/* All names in cur/, sorted by their unique parts: read once for any number of look-ups. */
static void
build_index(struct maildrop *drop)
{
	DIR *entries = opendir("cur");
	const struct dirent *entry;
	size_t at = 0, i;

	note_index_time(drop, entries);
	while (entries && drop->index_count < MAILDROP_MAX && (entry = readdir(entries))) {
		str_add_bytes(&drop->current, entry->d_name, strlen(entry->d_name) + 1);
		drop->index_count++;
	}
	if (entries)
		closedir(entries);
	drop->index = mem_array(drop->index_count + 1, sizeof *drop->index);
	for (i = 0; i < drop->index_count; i++) {
		drop->index[i] = drop->current.s + at;
		at += strlen(drop->index[i]) + 1;
	}
	qsort(drop->index, drop->index_count, sizeof *drop->index, by_unique);
}

/* After a message was not where it had been: true when it is in cur/ under a new name. */
static bool
find_again(struct maildrop *drop, size_t number)
{
	const char *path = maildrop_path(drop, number), *name = path + DIRECTORY_LEN;
	const char *const *found;

	if (drop->messages[number].twin)
		return false;
	if (!drop->index)
		build_index(drop);
	found = bsearch(&name, drop->index, drop->index_count, sizeof *drop->index, by_unique);
	if (!found || (path[0] == 'c' && !strcmp(*found, name)))
		return false;
	drop->messages[number].path = add_path(&drop->names, "cur/", *found);
	return true;
}

static int
open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat about;

	if (fd < 0)
		return -1;
	if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

/* The same, where it is now as far as is known; -1 with ENOENT where that is nowhere. */
static int
open_again(struct maildrop *drop, size_t number)
{
	if (find_again(drop, number))
		return open_regular(maildrop_path(drop, number));
	errno = ENOENT;
	return -1;
}

int
maildrop_read(struct maildrop *drop, size_t number)
{
	int fd = open_regular(maildrop_path(drop, number));

	/* Somebody is at work in this Maildir. One look at the directory shows where all have gone,
	 * until there is more to be seen. */
	if (fd < 0 && errno == ENOENT)
		fd = open_again(drop, number);
	if (fd < 0 && errno == ENOENT && !index_current(drop)) {
		forget_index(drop);
		fd = open_again(drop, number);
	}
	return fd;
}

static size_t
message_unique(const struct maildrop *drop, size_t number, const char **name)
{
	*name = maildrop_path(drop, number) + DIRECTORY_LEN;
	return unique_len(*name);
}

/* Takes all sizes that earlier sessions have found. */
static void
use_notes(struct maildrop *drop)
{
	size_t i;

	drop->sizes_loaded = true;
	sizes_load(&drop->sizes);
	for (i = 0; i < drop->count; i++) {
		struct message *message = &drop->messages[i];
		const char *name;
		size_t len = message_unique(drop, i, &name);

		if (!message->measured && !message->twin)
			message->measured = message->noted = sizes_find(&drop->sizes, name, len,
			    (unsigned long)message->stored, &message->size);
	}
	sizes_free(&drop->sizes);
}

static void
measure(struct maildrop *drop, size_t number)
{
	struct message *message = &drop->messages[number];
	int fd = open_regular(maildrop_path(drop, number));

	message->measured = true;
	/* With one look at the directory for all, however many have moved. */
	if (fd < 0 && errno == ENOENT)
		fd = open_again(drop, number);
	message->noted = fd >= 0 && transmit_size(fd, &message->size);
	if (message->noted) {
		drop->sizes_read++;
		drop->bytes_read += message->size;
	} else {
		message->size = (unsigned long)message->stored; /* RETR says what is wrong */
	}
	if (fd >= 0)
		close(fd);
}

unsigned long
maildrop_size(struct maildrop *drop, size_t number)
{
	const struct message *message = &drop->messages[number];

	if (!message->measured && !drop->sizes_loaded)
		use_notes(drop);
	if (!message->measured)
		measure(drop, number);
	return message->size;
}

void
maildrop_note_sizes(struct maildrop *drop)
{
	struct str text = STR_INIT;
	size_t i;

	if (drop->sizes_read < NOTE_MESSAGES && drop->bytes_read < NOTE_BYTES)
		return;
	for (i = 0; i < drop->count; i++) {
		const struct message *message = &drop->messages[i];
		const char *name;
		size_t len = message_unique(drop, i, &name);

		if (message->noted && !message->twin && !message->deleted)
			sizes_add(&text, name, len, (unsigned long)message->stored, message->size);
	}
	sizes_save(&text);
	str_free(&text);
}

void
maildrop_total(struct maildrop *drop, unsigned long *count, unsigned long *bytes)
{
	size_t i;

	*count = *bytes = 0;
	for (i = 0; i < drop->count; i++)
		if (!drop->messages[i].deleted) {
			++*count;
			*bytes += maildrop_size(drop, i);
		}
}

static bool
plain_uidl(const char *name, size_t len)
{
	size_t i;

	if (!len || len > UIDL_MAX)
		return false;
	for (i = 0; i < len; i++)
		if (name[i] < 0x21 || name[i] > 0x7e)
			return false;
	return true;
}

/* 128 bits of FNV-1a: nobody but the owner of the Maildir chooses names in it. */
static void
add_digest(struct str *to, const char *name, size_t len)
{
	unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
	unsigned __int128 hash =
	    (unsigned __int128)0x6c62272e07bb0142ULL << 64 | 0x62b821756295c58dULL;
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)name[i]) * prime;
	str_addf(to, "%016llx%016llx", (unsigned long long)(hash >> 64), (unsigned long long)hash);
}

void
maildrop_uidl(const struct maildrop *drop, size_t number, struct str *uidl)
{
	const char *name = maildrop_path(drop, number) + DIRECTORY_LEN;
	size_t len = unique_len(name);

	str_clear(uidl);
	if (drop->messages[number].twin)
		add_digest(uidl, maildrop_path(drop, number), DIRECTORY_LEN + strlen(name));
	else if (plain_uidl(name, len))
		str_add_bytes(uidl, name, len);
	else
		add_digest(uidl, name, len);
}

/* True when the message is gone, whoever removed it; what we did is counted. */
static bool
remove_message(struct maildrop *drop, size_t number)
{
	unsigned long bytes = (unsigned long)drop->messages[number].stored;

	while (unlink(maildrop_path(drop, number)) < 0) {
		if (errno != ENOENT)
			return false;
		if (!find_again(drop, number))
			return true;
	}
	maildirsize_of_name(maildrop_path(drop, number) + DIRECTORY_LEN, &bytes);
	drop->removed_bytes += (long)bytes;
	drop->removed++;
	return true;
}

/* What is gone makes room under a quota. */
static void
count_removed(const struct maildrop *drop)
{
	struct quota quota;
	int here;

	if (!drop->removed || quota_of(getuid(), &quota) != CDBFILE_FOUND)
		return;
	here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (here < 0)
		return;
	/* Where it has to be counted, what is gone isn't there any more. */
	if (quota_known(&quota, here))
		quota_add(&quota, here, -drop->removed_bytes, -(long)drop->removed);
	if (quota.used.lines || quota_count(&quota, here))
		quota_note_less(&quota);
	close(here);
}

static void
move_to_cur(const struct maildrop *drop, size_t number, struct str *target)
{
	const char *path = maildrop_path(drop, number), *name = path + DIRECTORY_LEN;

	if (path[0] != 'n')
		return;
	str_set(target, "cur/");
	str_add_bytes(target, name, unique_len(name));
	str_add(target, ":2,");
	/* A message that has gone meanwhile is nobody's loss; over another one it would be. */
	(void)rename_apart(path, target->s);
}

size_t
maildrop_update(struct maildrop *drop)
{
	struct str target = STR_INIT;
	size_t i, left = 0;

	forget_index(drop);
	for (i = 0; i < drop->count; i++)
		if (drop->messages[i].deleted && !remove_message(drop, i))
			left++;
	count_removed(drop);
	for (i = 0; i < drop->count; i++)
		if (!drop->messages[i].deleted)
			move_to_cur(drop, i, &target);
	str_free(&target);
	return left;
}
