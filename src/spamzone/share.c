/* A share of the scanner for each client: see share.h. */
#include "share.h"

#include "now.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	ADDRESS = sizeof(struct in6_addr), /* also the length of a record */
	MUTEX = SLOTS_MAX * ADDRESS,       /* what is locked while the table is looked at */
	PAUSE = 100,                       /* milliseconds between two looks */
	HELD = 2000,                       /* and until the lock above is no look any more */
};

/* The address as one of version 6, and how much of it the client and its network have in common. */
struct key {
	unsigned char address[ADDRESS];
	size_t client, network;
};

static struct key
find_key(const char *address)
{
	struct key key = {.client = 8, .network = 6};
	char text[INET6_ADDRSTRLEN];

	if (!address)
		return key;
	/* Without the zone of a link-local address. */
	snprintf(text, sizeof text, "%.*s", (int)strcspn(address, "%"), address);
	if (inet_pton(AF_INET, text, key.address + 12) == 1)
		key.address[10] = key.address[11] = 0xff;
	else if (inet_pton(AF_INET6, text, key.address) != 1)
		memset(key.address, 0, sizeof key.address);
	if (!memcmp(key.address, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12)) {
		key.client = ADDRESS;
		key.network = ADDRESS - 1;
	}
	return key;
}

/* Locks or unlocks one byte, for as long as fd is open. */
static bool
set_lock(int fd, short type, off_t at)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

	return !fcntl(fd, F_OFD_SETLK, &lock);
}

static bool
is_locked(int fd, off_t at)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

	return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

/* Takes a slot, while the table is ours. */
static bool
take(int fd, const struct share *share, const struct key *key)
{
	unsigned i, client = 0, network = 0, free = share->slots;

	for (i = 0; i < share->slots; i++) {
		unsigned char record[ADDRESS];

		if (!is_locked(fd, i * ADDRESS)) {
			free = free < share->slots ? free : i;
			continue;
		}
		if (pread(fd, record, sizeof record, i * ADDRESS) != sizeof record)
			continue;
		client += !memcmp(record, key->address, key->client);
		network += !memcmp(record, key->address, key->network);
	}
	errno = EUSERS;
	if (!share->exempt &&
	    (client >= share->client || (share->slots > 1 && network >= share->slots - 1)))
		return false;
	errno = EAGAIN;
	if (free == share->slots)
		return false;
	return pwrite(fd, key->address, ADDRESS, free * ADDRESS) == ADDRESS &&
	       set_lock(fd, F_WRLCK, free * ADDRESS);
}

static bool
try_once(int fd, const struct share *share, const struct key *key)
{
	bool taken;
	int why;

	if (!set_lock(fd, F_WRLCK, MUTEX)) {
		errno = errno == EAGAIN || errno == EACCES ? EBUSY : errno;
		return false;
	}
	taken = take(fd, share, key);
	why = errno;
	set_lock(fd, F_UNLCK, MUTEX);
	errno = why;
	return taken;
}

/*
 * The table may have been in the hands of somebody who has taken over a session: the same user as
 * we are. He may have closed it to all, or may hold up who opens it (fcntl's leases).
 */
static int
open_table(const char *path)
{
	const int how = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	struct stat table;
	int fd = open(path, how, 0600);

	if (fd < 0 && errno == EACCES && !fchmodat(AT_FDCWD, path, 0600, AT_SYMLINK_NOFOLLOW))
		fd = open(path, how, 0600);
	if (fd < 0 || (!fstat(fd, &table) && S_ISREG(table.st_mode)))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

int
share_take(const struct share *share)
{
	const struct timespec pause = {.tv_nsec = PAUSE * 1000000L};
	long long until = milliseconds() + share->seconds * 1000LL;
	long long looked = milliseconds();
	struct key key = find_key(share->address);
	char path[PATH_MAX];
	int fd, why;

	snprintf(path, sizeof path, "%s/slots", share->directory);
	fd = open_table(path);
	if (fd < 0)
		return -1;
	while (!try_once(fd, share, &key)) {
		long long now = milliseconds();
		bool look_again = errno == EBUSY && now < looked + HELD;

		why = errno == EACCES ? EAGAIN : errno;
		if (why == EAGAIN || why == EUSERS) {
			looked = now;
			look_again = true;
		}
		if (!look_again || now >= until) {
			close(fd);
			errno = why;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}
