/* The table of hosts that timed out: see tcpto.h. */
#include "lib/tcpto.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { WHEN = 16, COUNT = 24 };

static void
decode(const unsigned char slot[TCPTO_SLOT], struct tcpto_entry *entry)
{
	unsigned long long when = 0;
	size_t i;

	*entry = (struct tcpto_entry){.count = slot[COUNT]};
	memcpy(&entry->ip.a, slot, 16);
	for (i = WHEN; i < COUNT; i++)
		when = when << 8 | slot[i];
	entry->when = (time_t)when;
}

static void
encode(const struct tcpto_entry *entry, unsigned char slot[TCPTO_SLOT])
{
	unsigned long long when = (unsigned long long)entry->when;
	size_t i;

	memset(slot, 0, TCPTO_SLOT);
	memcpy(slot, &entry->ip.a, 16);
	for (i = COUNT; i-- > WHEN; when >>= 8)
		slot[i] = (unsigned char)when;
	slot[COUNT] = (unsigned char)(entry->count > 255 ? 255 : entry->count);
}

/* Reads the whole table; what the file lacks is zero. */
static void
load(int fd, unsigned char table[TCPTO_SIZE])
{
	size_t have = 0;

	memset(table, 0, TCPTO_SIZE);
	while (have < TCPTO_SIZE) {
		ssize_t got = pread(fd, table + have, TCPTO_SIZE - have, (off_t)have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return;
		have += (size_t)got;
	}
}

size_t
tcpto_read(const char *path, struct tcpto_entry entries[TCPTO_SLOTS])
{
	unsigned char table[TCPTO_SIZE];
	size_t i, count = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return 0;
	load(fd, table);
	close(fd);
	for (i = 0; i < TCPTO_SLOTS; i++) {
		decode(table + i * TCPTO_SLOT, &entries[count]);
		if (entries[count].count)
			count++;
	}
	return count;
}

bool
tcpto_resting(const char *path, const struct netip *ip, time_t now)
{
	struct tcpto_entry entries[TCPTO_SLOTS];
	size_t i, count = tcpto_read(path, entries);

	for (i = 0; i < count; i++)
		if (netip_equal(&entries[i].ip, ip))
			return entries[i].count >= TCPTO_ENOUGH && now >= entries[i].when &&
			       now - entries[i].when < TCPTO_REST;
	return false;
}

/* The slot of this address, else the one to use for it: an empty or the oldest one. */
static size_t
choose(const unsigned char table[TCPTO_SIZE], const struct netip *ip, bool *found)
{
	struct tcpto_entry entry;
	size_t i, best = 0;
	time_t oldest = 0;

	*found = false;
	for (i = 0; i < TCPTO_SLOTS; i++) {
		time_t age;

		decode(table + i * TCPTO_SLOT, &entry);
		if (entry.count && netip_equal(&entry.ip, ip)) {
			*found = true;
			return i;
		}
		age = entry.count ? entry.when : 0;
		if (i == 0 || age < oldest) {
			oldest = age;
			best = i;
		}
	}
	return best;
}

static void
note(int fd, const struct netip *ip, bool timed_out, time_t now)
{
	unsigned char table[TCPTO_SIZE];
	struct tcpto_entry entry;
	unsigned char *slot;
	bool found;
	size_t at;

	load(fd, table);
	at = choose(table, ip, &found);
	if (!found && !timed_out)
		return;
	slot = table + at * TCPTO_SLOT;
	decode(slot, &entry);
	if (!found)
		entry = (struct tcpto_entry){.ip = *ip};
	else if (timed_out && now >= entry.when && now - entry.when < TCPTO_GAP)
		return;
	entry.count = timed_out ? entry.count + 1 : 0;
	entry.when = now;
	encode(&entry, slot);
	if (pwrite(fd, slot, TCPTO_SLOT, (off_t)(at * TCPTO_SLOT)) < 0)
		return; /* nothing to be done: the address will be tried again */
}

void
tcpto_note(const char *path, const struct netip *ip, bool timed_out, time_t now)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX) == 0)
		note(fd, ip, timed_out, now);
	close(fd);
}

bool
tcpto_clear(const char *path)
{
	static const unsigned char empty[TCPTO_SIZE];
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	bool done;

	if (fd < 0)
		return false;
	done =
	    flock(fd, LOCK_EX) == 0 && pwrite(fd, empty, sizeof empty, 0) == (ssize_t)sizeof empty;
	close(fd);
	return done;
}
