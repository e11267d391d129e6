#include "failures.h"
#include "trusted.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a place of the table must change at once");

enum {
	WAYS = 8,
	HEADER_BYTES = 4096,
	TIME_BITS = 40, /* of a word; the rest is the tag */
	TICKS = 16,     /* of a second */
	TRIES = 1000,   /* to exchange a word that others exchange as well */
};

#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

static const char MAGIC[16] = "checkpassword 1";

/* The parts of the table; each number of sets is a power of 2. */
enum part { ADDRESSES, NETWORKS, ACCOUNTS, PAIRS, TRUSTED, PARTS };

static const uint64_t SETS[PARTS] = {8192, 4096, 4096, 2048, 8192};

/* A word is the tag of its key and a time in ticks. In the part TRUSTED: the time until which the
   password is remembered as right. Elsewhere: the time at which the last failure will be forgotten,
   each taking its share of the whole time; so the time says how many there are. */
struct set {
	_Atomic uint64_t words[WAYS];
};

struct failures {
	struct header {
		char magic[sizeof MAGIC];
		unsigned char key[FAILURES_KEY_BYTES];
		char room[HEADER_BYTES - sizeof MAGIC - FAILURES_KEY_BYTES];
	} header;
	struct set sets[];
};

static size_t
file_size(void)
{
	size_t size = sizeof(struct failures);

	for (int part = 0; part < PARTS; part++)
		size += SETS[part] * sizeof(struct set);
	return size;
}

/* --- SipHash-2-4 (Aumasson, Bernstein 2012), so that nobody can choose keys that meet --- */

struct siphash {
	uint64_t a, b, c, d;
};

static uint64_t
turn(uint64_t word, int by)
{
	return word << by | word >> (64 - by);
}

static void
sip_round(struct siphash *s)
{
	s->a += s->b, s->c += s->d;
	s->b = turn(s->b, 13) ^ s->a, s->d = turn(s->d, 16) ^ s->c;
	s->a = turn(s->a, 32);
	s->c += s->b, s->a += s->d;
	s->b = turn(s->b, 17) ^ s->c, s->d = turn(s->d, 21) ^ s->a;
	s->c = turn(s->c, 32);
}

static uint64_t
little_endian(const unsigned char *bytes, size_t length)
{
	uint64_t word = 0;

	for (size_t i = 0; i < length; i++)
		word |= (uint64_t)bytes[i] << 8 * i;
	return word;
}

static void
sip_word(struct siphash *s, uint64_t word)
{
	s->d ^= word;
	sip_round(s);
	sip_round(s);
	s->a ^= word;
}

uint64_t
failures_hash(
    const unsigned char key[FAILURES_KEY_BYTES], const unsigned char *bytes, size_t length)
{
	const uint64_t left = little_endian(key, 8), right = little_endian(key + 8, 8);
	struct siphash s = {
	    left ^ UINT64_C(0x736f6d6570736575),
	    right ^ UINT64_C(0x646f72616e646f6d),
	    left ^ UINT64_C(0x6c7967656e657261),
	    right ^ UINT64_C(0x7465646279746573),
	};
	size_t at = 0;

	for (; length - at >= 8; at += 8)
		sip_word(&s, little_endian(bytes + at, 8));
	sip_word(&s, little_endian(bytes + at, length - at) | (uint64_t)(length & 0xff) << 56);
	s.c ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}

/* --- one place --- */

static struct set *
set_of(struct failures *table, enum part part, uint64_t hash)
{
	size_t first = 0;

	for (int before = 0; before < (int)part; before++)
		first += SETS[before];
	return &table->sets[first + (hash & (SETS[part] - 1))];
}

/* Never 0, which is an empty place. */
static uint64_t
tag_of(uint64_t hash)
{
	return (hash >> TIME_BITS) ? hash & ~TIME_MASK : UINT64_C(1) << TIME_BITS;
}

static _Atomic uint64_t *
find(struct failures *table, enum part part, uint64_t hash)
{
	struct set *set = set_of(table, part, hash);

	for (int i = 0; i < WAYS; i++)
		if ((atomic_load(&set->words[i]) & ~TIME_MASK) == tag_of(hash))
			return &set->words[i];
	return NULL;
}

/* The place that gives way: the one whose time is over first. */
static _Atomic uint64_t *
victim(struct failures *table, enum part part, uint64_t hash)
{
	struct set *set = set_of(table, part, hash);
	_Atomic uint64_t *lowest = &set->words[0];

	for (int i = 1; i < WAYS; i++)
		if ((atomic_load(&set->words[i]) & TIME_MASK) < (atomic_load(lowest) & TIME_MASK))
			lowest = &set->words[i];
	return lowest;
}

static uint64_t
ticks(int64_t seconds)
{
	return seconds < 0 ? 0 : (uint64_t)seconds * TICKS & TIME_MASK;
}

struct rate {
	uint64_t whole, each; /* ticks */
};

static struct rate
rate_of(unsigned long limit, const struct failures_limits *limits)
{
	struct rate rate = {.whole = (uint64_t)limits->seconds * TICKS};

	rate.each = limit ? rate.whole / limit : 0;
	if (rate.each == 0)
		rate.each = 1;
	return rate;
}

/* The time in a word as it counts: none that is over, and none that no failure can have made, as
   after a change of the clock. */
static uint64_t
counting(uint64_t word, const struct rate *rate, uint64_t now)
{
	const uint64_t time = word & TIME_MASK;

	return time < now || time > now + 2 * rate->whole ? now : time;
}

/* One more, unless the limit is reached. */
static bool
charge(struct failures *table, enum part part, uint64_t hash, const struct rate *rate, uint64_t now)
{
	for (int i = 0; i < TRIES; i++) {
		_Atomic uint64_t *place = find(table, part, hash);
		bool found = place != NULL;
		uint64_t word, time = now;

		if (!found)
			place = victim(table, part, hash);
		word = atomic_load(place);
		if (found) {
			if ((word & ~TIME_MASK) != tag_of(hash))
				continue;
			time = counting(word, rate, now);
		}
		if (time + rate->each > now + rate->whole)
			return false;
		if (atomic_compare_exchange_strong(
			place, &word, tag_of(hash) | ((time + rate->each) & TIME_MASK)))
			return true;
	}
	return false;
}

static void
give_back(
    struct failures *table, enum part part, uint64_t hash, const struct rate *rate, uint64_t now)
{
	for (int i = 0; i < TRIES; i++) {
		_Atomic uint64_t *place = find(table, part, hash);
		uint64_t word, time;

		if (!place)
			return;
		word = atomic_load(place);
		time = counting(word, rate, now);
		time = time - now > rate->each ? time - rate->each : 0;
		if (atomic_compare_exchange_strong(place, &word, tag_of(hash) | time))
			return;
	}
}

static void
forget(struct failures *table, enum part part, uint64_t hash)
{
	_Atomic uint64_t *place = find(table, part, hash);

	if (place)
		atomic_store(place, 0);
}

static unsigned long
count(struct failures *table, enum part part, uint64_t hash, const struct rate *rate, uint64_t now)
{
	_Atomic uint64_t *place = find(table, part, hash);

	if (!place)
		return 0;
	return (unsigned long)((counting(atomic_load(place), rate, now) - now + rate->each - 1) /
			       rate->each);
}

static void
trust(struct failures *table, uint64_t hash, uint64_t until)
{
	_Atomic uint64_t *place = find(table, TRUSTED, hash);

	if (!place)
		place = victim(table, TRUSTED, hash);
	atomic_store(place, tag_of(hash) | (until & TIME_MASK));
}

static bool
trusts(struct failures *table, uint64_t hash, const struct failures_limits *limits, uint64_t now)
{
	_Atomic uint64_t *place = find(table, TRUSTED, hash);
	const uint64_t until = place ? atomic_load(place) & TIME_MASK : 0;

	return until > now && until <= now + (uint64_t)limits->trust * TICKS;
}

/* --- the keys --- */

static uint64_t
account_key(struct failures *table, const char *user)
{
	return failures_hash(table->header.key, (const unsigned char *)user, strlen(user));
}

static uint64_t
address_key(struct failures *table, const struct place *place)
{
	return failures_hash(table->header.key, place->bytes, place->address_length);
}

static uint64_t
network_key(struct failures *table, const struct place *place)
{
	return failures_hash(table->header.key, place->bytes, place->network_length);
}

static uint64_t
pair_key(struct failures *table, const char *user, const struct place *place)
{
	const uint64_t both[2] = {account_key(table, user), address_key(table, place)};

	return failures_hash(table->header.key, (const unsigned char *)both, sizeof both);
}

/* --- what the callers see --- */

enum failures_verdict
failures_charge(struct failures *table, struct failures_attempt *attempt,
    const struct failures_limits *limits, const char *user, const struct place *place,
    bool excepted, int64_t seconds)
{
	const struct rate address = rate_of(limits->address, limits);
	const struct rate network = rate_of(limits->network, limits);
	const struct rate account = rate_of(limits->account, limits);
	const uint64_t now = ticks(seconds);
	enum failures_verdict verdict = FAILURES_FEW;

	*attempt = (struct failures_attempt){
	    .address = address_key(table, place),
	    .network = network_key(table, place),
	    .account = account_key(table, user),
	    .pair = pair_key(table, user, place),
	};
	/* Who has been right here is counted by himself as long as that count is not full. */
	if (trusts(table, attempt->pair, limits, now) &&
	    (!limits->address || charge(table, PAIRS, attempt->pair, &address, now))) {
		attempt->charged_pair = limits->address != 0;
		return FAILURES_FEW;
	}
	if (limits->address && !excepted) {
		attempt->charged_address =
		    charge(table, ADDRESSES, attempt->address, &address, now);
		if (!attempt->charged_address)
			verdict = FAILURES_OF_ADDRESS;
	}
	if (verdict == FAILURES_FEW && limits->network && !excepted) {
		attempt->charged_network = charge(table, NETWORKS, attempt->network, &network, now);
		if (!attempt->charged_network)
			verdict = FAILURES_OF_NETWORK;
	}
	if (verdict == FAILURES_FEW && limits->account) {
		attempt->charged_account = charge(table, ACCOUNTS, attempt->account, &account, now);
		if (!attempt->charged_account)
			verdict = FAILURES_OF_ACCOUNT;
	}
	if (verdict != FAILURES_FEW)
		failures_give_back(table, attempt, limits, seconds);
	return verdict;
}

void
failures_give_back(struct failures *table, struct failures_attempt *attempt,
    const struct failures_limits *limits, int64_t seconds)
{
	const struct rate address = rate_of(limits->address, limits);
	const struct rate network = rate_of(limits->network, limits);
	const struct rate account = rate_of(limits->account, limits);
	const uint64_t now = ticks(seconds);

	if (attempt->charged_pair)
		give_back(table, PAIRS, attempt->pair, &address, now);
	if (attempt->charged_address)
		give_back(table, ADDRESSES, attempt->address, &address, now);
	if (attempt->charged_network)
		give_back(table, NETWORKS, attempt->network, &network, now);
	if (attempt->charged_account)
		give_back(table, ACCOUNTS, attempt->account, &account, now);
	attempt->charged_pair = attempt->charged_address = false;
	attempt->charged_network = attempt->charged_account = false;
}

void
failures_right(struct failures *table, struct failures_attempt *attempt,
    const struct failures_limits *limits, int64_t seconds)
{
	failures_give_back(table, attempt, limits, seconds);
	forget(table, PAIRS, attempt->pair);
	trust(table, attempt->pair, ticks(seconds) + (uint64_t)limits->trust * TICKS);
}

unsigned long
failures_of_account(
    struct failures *table, const struct failures_limits *limits, const char *user, int64_t seconds)
{
	const struct rate rate = rate_of(limits->account, limits);

	return count(table, ACCOUNTS, account_key(table, user), &rate, ticks(seconds));
}

unsigned long
failures_of_address(struct failures *table, const struct failures_limits *limits,
    const struct place *place, int64_t seconds)
{
	const struct rate rate = rate_of(limits->address, limits);

	return count(table, ADDRESSES, address_key(table, place), &rate, ticks(seconds));
}

unsigned long
failures_of_network(struct failures *table, const struct failures_limits *limits,
    const struct place *place, int64_t seconds)
{
	const struct rate rate = rate_of(limits->network, limits);

	return count(table, NETWORKS, network_key(table, place), &rate, ticks(seconds));
}

bool
failures_of_pair(struct failures *table, const struct failures_limits *limits, const char *user,
    const struct place *place, int64_t seconds, unsigned long *failed)
{
	const struct rate rate = rate_of(limits->address, limits);
	const uint64_t pair = pair_key(table, user, place), now = ticks(seconds);

	*failed = count(table, PAIRS, pair, &rate, now);
	return trusts(table, pair, limits, now);
}

void
failures_forget_account(struct failures *table, const char *user)
{
	forget(table, ACCOUNTS, account_key(table, user));
}

void
failures_forget_place(struct failures *table, const struct place *place)
{
	forget(table, ADDRESSES, address_key(table, place));
	forget(table, NETWORKS, network_key(table, place));
}

void
failures_forget_pair(struct failures *table, const char *user, const struct place *place)
{
	forget(table, PAIRS, pair_key(table, user, place));
}

/* --- the file --- */

/* The table in an open file; NULL if the file is of another kind, or can't be mapped (errno). */
static struct failures *
map(int fd)
{
	struct stat st;
	struct failures *table;

	errno = 0;
	if (fstat(fd, &st) < 0 || st.st_size != (off_t)file_size())
		return NULL;
	table = mmap(NULL, file_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (table == MAP_FAILED)
		return NULL;
	if (memcmp(table->header.magic, MAGIC, sizeof MAGIC) == 0)
		return table;
	munmap(table, file_size());
	return NULL;
}

/* An empty table, with all its blocks, so that a full disk can't make a hole of it later. */
static bool
fill(int fd)
{
	struct header header = {.room = ""};
	int error = posix_fallocate(fd, 0, (off_t)file_size());

	if (error) {
		errno = error;
		return false;
	}
	memcpy(header.magic, MAGIC, sizeof MAGIC);
	return getrandom(header.key, sizeof header.key, 0) == (ssize_t)sizeof header.key &&
	       write(fd, &header, sizeof header) == (ssize_t)sizeof header;
}

/* Makes the file under a name of this process's own, then gives it the real one: instead of a file
   of another kind, but not instead of one that another process has made meanwhile. */
static bool
make(int directory, const char *name, bool replace)
{
	char own[64];
	bool made;
	int fd, saved;

	snprintf(own, sizeof own, ".new.%ld", (long)getpid());
	unlinkat(directory, own, 0);
	fd = openat(directory, own, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	made = fill(fd);
	if (made && replace)
		made = renameat(directory, own, directory, name) == 0;
	else if (made)
		made = linkat(directory, own, directory, name, 0) == 0 || errno == EEXIST;
	saved = errno;
	close(fd);
	unlinkat(directory, own, 0);
	errno = saved;
	return made;
}

struct failures *
failures_open(const char *path, char *why, size_t size)
{
	char name[TRUSTED_NAME_MAX + 1], fault[256];
	struct failures *table = NULL;
	int directory = trusted_directory(path, name, why, size), fd;

	if (directory < 0)
		return NULL;
	for (int i = 0; i < 3 && !table; i++) {
		fd = trusted_open_in(directory, name, O_RDWR, fault, sizeof fault);
		if (fd < 0 && errno != ENOENT) {
			snprintf(why, size, "%s: %s", path, fault);
			close(directory);
			return NULL;
		}
		if (fd >= 0) {
			table = map(fd);
			close(fd);
		}
		if (!table && !make(directory, name, fd >= 0))
			break;
	}
	if (!table)
		snprintf(why, size, "%s: %s", path, errno ? strerror(errno) : "is no such table");
	close(directory);
	return table;
}

void
failures_close(struct failures *table)
{
	munmap(table, file_size());
}
