#include "logins.h"
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
	TABLES = 256,
	PAIR = 8,
	VALUE_MAX = LOGINS_NAME_MAX + LOGINS_HOME_MAX + 32,
	ID_MAX = 0x7fffffff,
};

/* False unless all of it is there. */
static bool
read_at(int fd, uint64_t position, void *to, size_t length)
{
	char *at = to;

	while (length > 0) {
		ssize_t got = pread(fd, at, length, (off_t)position);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		position += (uint64_t)got;
		length -= (size_t)got;
	}
	return true;
}

static bool
read_pair(int fd, uint64_t position, uint32_t pair[2])
{
	unsigned char bytes[PAIR];

	if (!read_at(fd, position, bytes, sizeof bytes))
		return false;
	for (size_t i = 0; i < 2; i++)
		pair[i] = (uint32_t)bytes[4 * i] | (uint32_t)bytes[4 * i + 1] << 8 |
			  (uint32_t)bytes[4 * i + 2] << 16 | (uint32_t)bytes[4 * i + 3] << 24;
	return true;
}

static uint32_t
hash(const char *key, size_t length)
{
	uint32_t h = 5381;

	for (size_t i = 0; i < length; i++)
		h = ((h << 5) + h) ^ (unsigned char)key[i];
	return h;
}

/* The record at a position, if it is the key's. */
static enum logins_status
try_record(int fd, uint64_t position, const char *key, size_t length, struct login *login)
{
	char have[LOGINS_NAME_MAX], value[VALUE_MAX];
	uint32_t lengths[2];

	if (!read_pair(fd, position, lengths))
		return LOGINS_BROKEN;
	if (lengths[0] != length)
		return LOGINS_NONE;
	if (!read_at(fd, position + PAIR, have, length))
		return LOGINS_BROKEN;
	if (memcmp(have, key, length) != 0)
		return LOGINS_NONE;
	if (lengths[1] > sizeof value || !read_at(fd, position + PAIR + length, value, lengths[1]))
		return LOGINS_BROKEN;
	return logins_parse(value, lengths[1], login) ? LOGINS_FOUND : LOGINS_BROKEN;
}

static enum logins_status
look_up(int fd, const char *key, size_t length, struct login *login)
{
	const uint32_t h = hash(key, length);
	uint32_t slots[2], slot[2];

	if (!read_pair(fd, h % TABLES * PAIR, slots))
		return LOGINS_BROKEN;
	for (uint32_t i = 0; i < slots[1]; i++) {
		uint64_t at = (h / TABLES + (uint64_t)i) % slots[1];
		enum logins_status status;

		if (!read_pair(fd, slots[0] + at * PAIR, slot))
			return LOGINS_BROKEN;
		if (slot[1] == 0)
			return LOGINS_NONE;
		if (slot[0] != h)
			continue;
		status = try_record(fd, slot[1], key, length, login);
		if (status != LOGINS_NONE)
			return status;
	}
	return LOGINS_NONE;
}

enum logins_status
logins_find(int fd, const char *name, struct login *login)
{
	char key[LOGINS_NAME_MAX];
	size_t length = strlen(name);

	if (fd < 0 || length > sizeof key)
		return LOGINS_NONE;
	for (size_t i = 0; i < length; i++)
		key[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	return look_up(fd, key, length, login);
}

/* A uid or gid: digits, neither 0 nor more than a host gives. */
static bool
parse_id(const char *text, unsigned *id)
{
	unsigned long value = 0;

	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned long)(*text - '0');
		if (value > ID_MAX)
			return false;
	}
	*id = (unsigned)value;
	return value != 0;
}

/* A slash would make it a device of somebody's, a colon no name of the password database. */
static bool
valid_mailbox(const char *name)
{
	for (const char *s = name; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == '/' || *s == ':' || *s == 0x7f)
			return false;
	return *name && strlen(name) <= LOGINS_NAME_MAX;
}

bool
logins_parse(const char *value, size_t length, struct login *login)
{
	const char *field[4];
	unsigned uid, gid;

	for (size_t i = 0; i < 4; i++) {
		const char *end = length > 0 ? memchr(value, '\0', length) : NULL;

		if (!end)
			return false;
		field[i] = value;
		length -= (size_t)(end + 1 - value);
		value = end + 1;
	}
	if (length > 0 || !valid_mailbox(field[0]) || !parse_id(field[1], &uid) ||
	    !parse_id(field[2], &gid) || *field[3] != '/' || strlen(field[3]) > LOGINS_HOME_MAX)
		return false;
	memcpy(login->mailbox, field[0], strlen(field[0]) + 1);
	memcpy(login->home, field[3], strlen(field[3]) + 1);
	login->uid = uid;
	login->gid = gid;
	return true;
}
