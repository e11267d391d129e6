/*
 * The password database: lines in the format of shadow(5), in /etc/shadow or in a file of the
 * mail's own.
 *
 * Every parser here is total: no content of the file is undefined behaviour. A line longer than
 * SHADOW_LINE_MAX is skipped to its end, never split in two; so is a line that isn't an entry.
 */
#ifndef SHADOW_H
#define SHADOW_H

#include <stdbool.h>
#include <stddef.h>

enum { SHADOW_LINE_MAX = 1024 }; /* libxcrypt's longest hash is 383 bytes */

enum { SHADOW_NEVER = -1 }; /* an empty number: no such limit */

/* name and hash point into the parsed line. The numbers are days since 1970-01-01 (last_change,
   expiry) or counts of days, SHADOW_NEVER where the field is empty. */
struct shadow_entry {
	const char *name;
	const char *hash;
	long last_change;
	long maximum;
	long inactive;
	long expiry;
	const char *services; /* the last field, which shadow(5) doesn't use */
};

/* Parses line[0..length) in place (line[length] must be writable). False if it isn't an entry:
   fewer than two or more than nine fields, an empty name, a NUL in it, or a number that is none. */
bool shadow_parse(char *line, size_t length, struct shadow_entry *entry);

/* Could a password match this hash at all? No for an empty one, for a locked one ("!...", "*"),
   and for one of a method that the host's crypt(3) doesn't have. */
bool shadow_hash_usable(const char *hash);

/* May the account be used today (days since 1970-01-01)? No when it has expired, when its password
   is older than maximum + inactive days, and when a change of password has been ordered. */
bool shadow_current(const struct shadow_entry *entry, long today);

/*
 * A user may have several passwords: that of the entry with his name, and those of his devices, in
 * entries NAME/DEVICE, each with a day of expiry of its own and, in the last field, the services
 * that it is good for, with commas between them; none are all. Any may be missing. A name with a
 * slash is nobody's.
 */
enum { SHADOW_DEVICES_MAX = 8, SHADOW_PASSWORDS_MAX = SHADOW_DEVICES_MAX + 1 };

/* One hash to compute. Where it isn't the user's own, it is another's of the same file. */
struct shadow_password {
	bool usable;                 /* it is the user's, current, and good for the service */
	char owner[SHADOW_LINE_MAX]; /* whose it is: NAME or NAME/DEVICE */
	char hash[SHADOW_LINE_MAX];  /* "" only where there is none to stand in */
};

/* What a look-up yields: as many hashes as any user of the file has passwords, whoever was looked
   for, so that each takes the same work. Of a user whose entries don't stand together they may be
   more. */
struct shadow_answer {
	bool known; /* the user is in the file, on a line that is an entry */
	size_t count;
	struct shadow_password passwords[SHADOW_PASSWORDS_MAX]; /* his own first, as they stand */
};

/* Whether a list of services, with commas between them, has one; an empty list has all. */
bool shadow_serves(const char *services, const char *service);

/* Reads the file on fd from its present position to its end, always all of it, and answers for
   `user` at a service; "" is none that is known. The first entry of a name counts, and the first
   SHADOW_PASSWORDS_MAX of a user. False when reading failed (errno). */
bool shadow_find(
    int fd, const char *user, const char *service, long today, struct shadow_answer *answer);

void shadow_wipe(struct shadow_answer *answer);

#endif
