#include "logins.h"
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
	TABLES = 256,
	PAIR = 8,
	VALUE_MAX = LOGINS_NAME_MAX + LOGINS_HOME_MAX + 64,
	ID_MAX = 0x7fffffff,
	FIELDS = 5,
	FIELDS_LEAST = 4,
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

/* Digits, one at least and not more than a host gives. */
static bool
parse_number(const char *text, unsigned *number)
{
	unsigned long value = 0;
	const char *at = text;

	for (; *at; at++) {
		if (*at < '0' || *at > '9')
			return false;
		value = value * 10 + (unsigned long)(*at - '0');
		if (value > ID_MAX)
			return false;
	}
	*number = (unsigned)value;
	return at > text;
}

/* A uid or gid, which isn't root's. */
static bool
parse_id(const char *text, unsigned *id)
{
	return parse_number(text, id) && *id != 0;
}

/* The last day of a name, or none. */
static bool
parse_until(const char *text, long *until)
{
	static const char word[] = "until ";
	unsigned day;

	*until = LOGINS_NO_END;
	if (!text)
		return true;
	if (strncmp(text, word, sizeof word - 1) != 0 ||
	    !parse_number(text + sizeof word - 1, &day))
		return false;
	*until = (long)day;
	return true;
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
	const char *field[FIELDS] = {NULL};
	unsigned uid, gid;
	long until;

	for (size_t i = 0; i < FIELDS && (i < FIELDS_LEAST || length > 0); i++) {
		const char *end = length > 0 ? memchr(value, '\0', length) : NULL;

		if (!end)
			return false;
		field[i] = value;
		length -= (size_t)(end + 1 - value);
		value = end + 1;
	}
	if (length > 0 || !valid_mailbox(field[0]) || !parse_id(field[1], &uid) ||
	    !parse_id(field[2], &gid) || *field[3] != '/' || strlen(field[3]) > LOGINS_HOME_MAX ||
	    !parse_until(field[4], &until))
		return false;
	memcpy(login->mailbox, field[0], strlen(field[0]) + 1);
	memcpy(login->home, field[3], strlen(field[3]) + 1);
	login->uid = uid;
	login->gid = gid;
	login->until = until;
	return true;
}
