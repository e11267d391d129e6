/*
 * The suite's users and groups, and its home.
 *
 * Names come from conf-users and conf-groups; their numbers are looked up when asked for,
 * so a tree built on one machine runs on another whose numbers differ.
 *
 * Programs built with QMAIL_TESTABLE take the home from QMAIL_TEST_HOME, and each identity
 * is the user who runs them: for the tests only.
 */
#ifndef LIB_IDENTITY_H
#define LIB_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

enum identity {
	IDENTITY_ALIAS,
	IDENTITY_DAEMON, /* qmaild: smtpd, popup */
	IDENTITY_LOG,
	IDENTITY_OWNER,  /* root: owns the programs */
	IDENTITY_LOOKUP, /* qmailp: looks up users */
	IDENTITY_QUEUE,
	IDENTITY_REMOTE,
	IDENTITY_SEND,
	IDENTITY_COUNT
};

enum identity_group { GROUP_QUEUE, GROUP_NOFILES };

extern const char *const identity_names[IDENTITY_COUNT];
extern const char *const identity_groups[2];

/* False, with errno 0 for a name that does not exist, else the system's. */
bool identity_uid(enum identity who, uid_t *uid);
bool identity_gid(enum identity_group group, gid_t *gid);

/*
 * Becomes the user for good: supplementary groups emptied, then gid, then uid; real,
 * effective and saved. False when the system refuses or a check afterwards shows that
 * the old ids could be taken back; the caller must exit then.
 */
bool identity_become(uid_t uid, gid_t gid);
bool identity_become_named(enum identity who, enum identity_group group);

/* The home, an absolute path, and going there. */
const char *home(void);
bool home_enter(void);

#endif
