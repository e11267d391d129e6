/*
 * Who gets the mail for a local part: users/cdb, then the system's accounts, then alias,
 * as qmail-users(5) and qmail-getpw(8) describe.
 */
#ifndef SPAWN_ACCOUNT_H
#define SPAWN_ACCOUNT_H

#include "lib/str.h"

#include <pwd.h>
#include <sys/types.h>

#define ACCOUNT_NAME_MAX 32 /* bytes of a system account's name */

struct account {
	struct str user, home, dash, ext;
	uid_t uid;
	gid_t gid;
};

enum account_found {
	ACCOUNT_FOUND,
	ACCOUNT_NONE,   /* not even alias */
	ACCOUNT_TROUBLE /* the answer can't be known now */
};

/* Strings for an account_*; to be freed with account_free. */
void account_init(struct account *account);
void account_free(struct account *account);

/* getpwnam, and whether path is a directory of this user: 1, 0, or -1 (can't be known). */
struct account_system {
	const struct passwd *(*look_up)(const char *name); /* NULL, errno 0: no such */
	int (*owns)(const char *path, uid_t uid);
};
extern const struct account_system account_host;

/* The account whose name is local up to one of its dashes, the longest first; else alias. */
enum account_found account_passwd(
    const struct account_system *system, const char *local, struct account *account);

/* users/cdb (lib/assign.h), then the above, from the home. */
enum account_found account_find(const char *local, struct account *account);

/* user, uid, gid, home, dash, ext, each with its NUL: qmail-getpw's output. */
void account_pack(const struct account *account, struct str *to);
/* The same backwards; false for anything else, uid 0 and a relative home included. */
bool account_unpack(const char *bytes, size_t len, struct account *account);

#endif
