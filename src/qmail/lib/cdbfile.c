/*
 * Reading constant databases (D. J. Bernstein, "A structure for constant databases"): 256 pairs of
 * position and length, each of a hash table; the tables' slots are pairs of hash and position;
 * there are the lengths of key and data, the key and the data. All numbers have 32 bits, the lowest
 * first.
 *
 * Whatever a position or a length says, nothing outside of the file is asked for.
 */
#include "lib/cdbfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE_MAX (1U << 20)
#define TABLES 256
#define PAIR 8 /* bytes */

struct pair {
	uint32_t first, second;
};

static bool
inside(const struct cdbtable *table, uint64_t position, size_t len)
{
	return position <= table->size && len <= table->size - position;
}

/* False, with errno set, unless all of it is there. */
static bool
read_at(const struct cdbtable *table, uint64_t position, void *to, size_t len)
{
	char *at = to;

	if (!inside(table, position, len)) {
		errno = EPROTO;
		return false;
	}
	while (len) {
		ssize_t got = pread(table->fd, at, len, (off_t)position);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (!got)
				errno = EPROTO;
			return false;
		}
		at += got;
		position += (uint64_t)got;
		len -= (size_t)got;
	}
	return true;
}

static uint32_t
number(const unsigned char *bytes)
{
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static bool
read_pair(const struct cdbtable *table, uint64_t position, struct pair *pair)
{
	unsigned char bytes[PAIR];

	if (!read_at(table, position, bytes, sizeof bytes))
		return false;
	*pair = (struct pair){number(bytes), number(bytes + 4)};
	return true;
}

static uint32_t
hash(const unsigned char *key, size_t len)
{
	uint32_t h = 5381;

	while (len--)
		h = ((h << 5) + h) ^ *key++;
	return h;
}

enum cdbfile
cdbtable_open(struct cdbtable *table, const char *path)
{
	struct stat file;

	table->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (table->fd < 0)
		return errno == ENOENT ? CDBFILE_ABSENT : CDBFILE_ERROR;
	if (fstat(table->fd, &file) == 0 && file.st_size >= TABLES * PAIR) {
		table->size = (uint64_t)file.st_size;
		return CDBFILE_FOUND;
	}
	close(table->fd);
	return CDBFILE_ERROR;
}

static enum cdbfile
same_key(const struct cdbtable *table, uint64_t position, const char *key, size_t len)
{
	char have[256];

	while (len) {
		size_t part = len < sizeof have ? len : sizeof have;

		if (!read_at(table, position, have, part))
			return CDBFILE_ERROR;
		if (memcmp(have, key, part))
			return CDBFILE_ABSENT;
		key += part;
		position += part;
		len -= part;
	}
	return CDBFILE_FOUND;
}

static enum cdbfile
take_value(const struct cdbtable *table, uint64_t position, size_t len, struct str *value)
{
	if (len > VALUE_MAX || !inside(table, position, len))
		return CDBFILE_ERROR;
	if (!value)
		return CDBFILE_FOUND;
	str_clear(value);
	str_reserve(value, len);
	if (!read_at(table, position, value->s, len)) {
		str_clear(value);
		return CDBFILE_ERROR;
	}
	value->len = len;
	value->s[len] = 0;
	return CDBFILE_FOUND;
}

/* Looks at one record. */
static enum cdbfile
try_record(const struct cdbtable *table, uint64_t position, const void *key, size_t key_len,
    struct str *value)
{
	enum cdbfile found;
	struct pair lengths;

	if (!read_pair(table, position, &lengths))
		return CDBFILE_ERROR;
	if (lengths.first != key_len)
		return CDBFILE_ABSENT;
	found = same_key(table, position + PAIR, key, key_len);
	return found == CDBFILE_FOUND
		   ? take_value(table, position + PAIR + key_len, lengths.second, value)
		   : found;
}

enum cdbfile
cdbtable_get(const struct cdbtable *table, const void *key, size_t key_len, struct str *value)
{
	const uint32_t h = hash(key, key_len);
	struct pair slots, slot;
	uint32_t i;

	if (key_len > VALUE_MAX)
		return CDBFILE_ABSENT;
	if (!read_pair(table, h % TABLES * PAIR, &slots))
		return CDBFILE_ERROR;
	for (i = 0; i < slots.second; i++) {
		uint64_t at = (h / TABLES + (uint64_t)i) % slots.second;
		enum cdbfile found;

		if (!read_pair(table, slots.first + at * PAIR, &slot))
			return CDBFILE_ERROR;
		if (!slot.second)
			break;
		if (slot.first != h)
			continue;
		found = try_record(table, slot.second, key, key_len, value);
		if (found != CDBFILE_ABSENT)
			return found;
	}
	return CDBFILE_ABSENT;
}

void
cdbtable_close(struct cdbtable *table)
{
	close(table->fd);
}

enum cdbfile
cdbfile_get(const char *path, const void *key, size_t key_len, struct str *value)
{
	struct cdbtable table;
	enum cdbfile result = cdbtable_open(&table, path);

	if (result != CDBFILE_FOUND)
		return result;
	result = cdbtable_get(&table, key, key_len, value);
	cdbtable_close(&table);
	return result;
}
