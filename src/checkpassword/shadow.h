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

/* What a look-up yields. `hash` is the one to compute in any case: the account's own where it is
   usable, or else another account's of the same file, so that both take the same work. It is ""
   only where the whole file has no usable hash. `owner` is the account that hash belongs to. */
struct shadow_answer {
	bool known;  /* the name is in the file, on a line that is an entry */
	bool usable; /* ... and hash is its own, and the account is current */
	char owner[SHADOW_LINE_MAX];
	char hash[SHADOW_LINE_MAX];
};

/* Reads the file on fd from its present position to its end, always all of it, and answers for
   `user`. The first entry of a name counts. False when reading failed (errno). */
bool shadow_find(int fd, const char *user, long today, struct shadow_answer *answer);

void shadow_wipe(struct shadow_answer *answer);

#endif
