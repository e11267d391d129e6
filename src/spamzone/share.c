/* A share of the scanner for each client: see share.h. */
#include "share.h"

#include "lock.h"
#include "now.h"
#include "queue.h"

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
	MUTEX = SLOTS_MAX * ADDRESS, /* what is locked while the table is looked at */
	QUEUE = MUTEX + ADDRESS,     /* where those are who wait */
	PAUSE = 10,                  /* milliseconds between two looks, for each who is before us */
	PAUSE_MAX = 100,             /* and at most */
	HELD = 2000,                 /* and until the lock above is no look any more */
};

/* Who has a slot, or will have it before us. */
struct users {
	unsigned char address[SLOTS_MAX][ADDRESS];
	unsigned count;
};

/* Whoever waits, and what he knows of it. */
struct wait {
	struct waiter self;
	off_t place;     /* in the queue, or -1 */
	unsigned before; /* who were there before us when we looked */
};

/* The address as one of version 6. */
static void
read_address(const char *address, unsigned char to[ADDRESS])
{
	char text[INET6_ADDRSTRLEN];

	memset(to, 0, ADDRESS);
	if (!address)
		return;
	/* Without the zone of a link-local address. */
	snprintf(text, sizeof text, "%.*s", (int)strcspn(address, "%"), address);
	if (inet_pton(AF_INET, text, to + 12) == 1)
		to[10] = to[11] = 0xff;
	else if (inet_pton(AF_INET6, text, to) != 1)
		memset(to, 0, ADDRESS);
}

/* Why one more may not have a slot beside these, or 0. */
static int
why_not(const struct share *share, const struct users *users, const struct waiter *who)
{
	bool v4 = !memcmp(who->address, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	size_t host = v4 ? ADDRESS : 8, net = v4 ? ADDRESS - 1 : 6;
	unsigned i, client = 0, network = 0;

	for (i = 0; i < users->count; i++) {
		client += !memcmp(users->address[i], who->address, host);
		network += !memcmp(users->address[i], who->address, net);
	}
	if (!who->exempt &&
	    (client >= share->client || (share->slots > 1 && network >= share->slots - 1)))
		return EUSERS;
	return users->count < share->slots ? 0 : EAGAIN;
}

/* Finds who has a slot. Returns the first that is free, if any. */
static unsigned
find_users(int fd, unsigned slots, struct users *users)
{
	unsigned i, free = slots;

	users->count = 0;
	for (i = 0; i < slots; i++) {
		unsigned char *address = users->address[users->count];

		if (!is_locked(fd, i * ADDRESS)) {
			free = free < slots ? free : i;
			continue;
		}
		if (pread(fd, address, ADDRESS, i * ADDRESS) != ADDRESS)
			memset(address, 0, ADDRESS);
		users->count++;
	}
	return free;
}

/* Takes a slot, while the table is ours, or waits for it in the queue. Returns why not, or 0. */
static int
take(int fd, const struct share *share, struct wait *wait)
{
	struct waiter before[QUEUE_MAX];
	struct users users;
	unsigned i, free = find_users(fd, share->slots, &users);
	int why;

	wait->before = queue_before(fd, QUEUE, wait->self.came, before);
	/* Each takes what he may, as soon as he looks; who may not is in nobody's way. */
	for (i = 0; i < wait->before; i++)
		if (!why_not(share, &users, &before[i]))
			memcpy(users.address[users.count++], before[i].address, ADDRESS);
	why = why_not(share, &users, &wait->self);
	if (why) {
		if (wait->place < 0)
			wait->place = queue_join(fd, QUEUE, &wait->self);
		return why;
	}
	errno = EAGAIN; /* what a short write does not say */
	if (pwrite(fd, wait->self.address, ADDRESS, free * ADDRESS) != ADDRESS ||
	    !set_lock(fd, F_WRLCK, free * ADDRESS))
		return errno;
	queue_leave(fd, wait->place);
	return 0;
}

/* Returns why there is no slot, or 0. */
static int
try_once(int fd, const struct share *share, struct wait *wait)
{
	int why;

	if (!set_lock(fd, F_WRLCK, MUTEX))
		return errno == EAGAIN || errno == EACCES ? EBUSY : errno;
	why = take(fd, share, wait);
	set_lock(fd, F_UNLCK, MUTEX);
	return why == EACCES ? EAGAIN : why;
}

static void
pause_before_look(unsigned before)
{
	long pause = before < PAUSE_MAX / PAUSE ? PAUSE * (1L + before) : PAUSE_MAX;

	nanosleep(&(struct timespec){.tv_nsec = pause * 1000000}, NULL);
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
	long long came = milliseconds(), looked = came, until = came + share->seconds * 1000LL;
	struct wait wait = {.self = {.came = came, .exempt = share->exempt}, .place = -1};
	char path[PATH_MAX];
	int fd, why;

	read_address(share->address, wait.self.address);
	snprintf(path, sizeof path, "%s/slots", share->directory);
	fd = open_table(path);
	if (fd < 0)
		return -1;
	while ((why = try_once(fd, share, &wait)) != 0) {
		long long now = milliseconds();
		bool look_again = why == EBUSY && now < looked + HELD;

		if (why == EAGAIN || why == EUSERS) {
			looked = now;
			look_again = true;
		}
		if (!look_again || now >= until) {
			queue_leave(fd, wait.place);
			close(fd);
			errno = why;
			return -1;
		}
		pause_before_look(why == EBUSY ? 0 : wait.before);
	}
	return fd;
}
