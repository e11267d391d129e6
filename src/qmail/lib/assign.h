/*
 * Which user an address belongs to, qmail-users(5): the lines of users/assign, and what
 * qmail-newu makes of them, users/cdb.
 *
 * In the database the key of a simple assignment is '=' and the address, that of a wildcard
 * '+' and the part that addresses begin with, in lower case; the value is user, uid, gid,
 * homedir, dash and ext, each ended by NUL. The record with the empty key holds every byte
 * that a wildcard's part ends with, so that few parts of an address have to be looked up.
 */
#ifndef LIB_ASSIGN_H
#define LIB_ASSIGN_H

#include "lib/cdbfile.h"

#include <sys/types.h>

#define ASSIGN_DATABASE "users/cdb" /* relative to the home */

struct assignment {
	struct str key, value; /* as in the database; what follows points into value, but rest */
	const char *user, *home, *dash, *ext;
	uid_t uid;
	gid_t gid;
	struct str
	    rest; /* of a wildcard: what the address has behind its part; belongs behind ext */
};

#define ASSIGNMENT_INIT                                                                            \
	{                                                                                          \
		.key = STR_INIT, .value = STR_INIT, .rest = STR_INIT                               \
	}

void assignment_free(struct assignment *a);

/*
 * Takes a line of users/assign apart: NULL, or what is wrong with it. len counts bytes
 * without the line's end.
 */
const char *assign_parse(struct assignment *a, const char *line, size_t len);

/*
 * The assignment of a local part: the simple one, else the wildcard with the longest part.
 * ABSENT: no assignment, or no database. ERROR: the database can't be read, or is not what
 * qmail-newu writes.
 */
enum cdbfile assign_find(struct assignment *a, const char *local);

#endif
