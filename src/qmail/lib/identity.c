/* Users, groups and home: see identity.h. The names are in a file that make writes. */
#include "lib/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef QMAIL_TESTABLE

bool
identity_uid(enum identity who, uid_t *uid)
{
	(void)who;
	*uid = geteuid();
	return true;
}

bool
identity_gid(enum identity_group group, gid_t *gid)
{
	(void)group;
	*gid = getegid();
	return true;
}

const char *
home(void)
{
	const char *path = getenv("QMAIL_TEST_HOME");

	return path ? path : QMAIL_HOME;
}

#else

bool
identity_uid(enum identity who, uid_t *uid)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(identity_names[who]);
	if (!entry)
		return false;
	*uid = entry->pw_uid;
	return true;
}

bool
identity_gid(enum identity_group group, gid_t *gid)
{
	const struct group *entry;

	errno = 0;
	entry = getgrnam(identity_groups[group]);
	if (!entry)
		return false;
	*gid = entry->gr_gid;
	return true;
}

const char *
home(void)
{
	return QMAIL_HOME;
}

#endif

bool
home_enter(void)
{
	return chdir(home()) == 0;
}

static bool
already(uid_t uid, gid_t gid)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (getresuid(&real, &effective, &saved) ||
	    getresgid(&real_group, &effective_group, &saved_group))
		return false;
	return uid && real == uid && effective == uid && saved == uid && real_group == gid &&
	       effective_group == gid && saved_group == gid;
}

bool
identity_become(uid_t uid, gid_t gid)
{
	if (already(uid, gid))
		return true;
	if (setgroups(1, &gid) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return false;
	return uid == 0 || (setuid(0) < 0 && seteuid(0) < 0);
}

bool
identity_become_named(enum identity who, enum identity_group group)
{
	uid_t uid;
	gid_t gid;

	return identity_uid(who, &uid) && identity_gid(group, &gid) && identity_become(uid, gid);
}
