/*
 * Who may log in, beside the accounts of the system: a constant database (D. J. Bernstein, "A
 * structure for constant databases") from each name and address that somebody logs in with, in
 * small letters, to his mailbox: its name, uid, gid and home, and for a name that doesn't stay its
 * last day as "until DAY", in days since 1970; each ended by NUL.
 *
 * The parser is total: no content of the file is undefined behaviour, and nothing outside of it is
 * asked for.
 */
#ifndef LOGINS_H
#define LOGINS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	LOGINS_NAME_MAX = 255,
	LOGINS_HOME_MAX = 1023,
};

#define LOGINS_NO_END LONG_MAX

struct login {
	char mailbox[LOGINS_NAME_MAX + 1]; /* as the password database has it */
	uid_t uid;                         /* neither is 0 */
	gid_t gid;
	char home[LOGINS_HOME_MAX + 1]; /* an absolute path */
	long until;                     /* the last day; LOGINS_NO_END for none */
};

enum logins_status {
	LOGINS_FOUND,
	LOGINS_NONE,
	LOGINS_BROKEN, /* the file can't be read, or is no such database, or says nothing of use */
};

/* Looks for name, which may have capitals. fd -1 is a database without names. */
enum logins_status logins_find(int fd, const char *name, struct login *login);

/* Parses what a name has. False unless it is exactly the four, or these and the last day. */
bool logins_parse(const char *value, size_t length, struct login *login);

#endif
