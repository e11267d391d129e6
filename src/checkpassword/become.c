#include "become.h"
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What tcpserver (tcp-environ(5)), stunnel, qmail-popup and the door's definition tell about a
   connection. */
static const char *const KEPT[] = {
    "PROTO",
    "TCPLOCALIP",
    "TCPLOCALPORT",
    "TCPLOCALHOST",
    "TCPREMOTEIP",
    "TCPREMOTEPORT",
    "TCPREMOTEHOST",
    "TCPREMOTEINFO",
    "REMOTE_HOST",
    "REMOTE_PORT",
    "SSL_CLIENT_DN",
    "SSL_CLIENT_I_DN",
    "TLSFRONT",
    "AUTHSERVICE",
};

enum { KEPT_COUNT = sizeof KEPT / sizeof *KEPT };

static const char PATH[] = "/usr/local/bin:/usr/bin:/bin";

bool
become_caller(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return false;
	return geteuid() == uid && getegid() == gid;
}

bool
become_account(const struct passwd *account, bool alone, char *why, size_t size)
{
	const char *step = NULL;
	const uid_t uid = account->pw_uid;
	const gid_t gid = account->pw_gid;

	if (alone && setgroups(1, &gid) < 0)
		step = "setgroups";
	else if (!alone && initgroups(account->pw_name, gid) < 0)
		step = "initgroups";
	else if (setresgid(gid, gid, gid) < 0)
		step = "setresgid";
	else if (setresuid(uid, uid, uid) < 0)
		step = "setresuid";
	else if (chdir(account->pw_dir) < 0)
		step = account->pw_dir;
	if (step) {
		snprintf(why, size, "%s: %s", step, strerror(errno));
		return false;
	}
	if (setuid(0) == 0 || getuid() != uid || geteuid() != uid || getegid() != gid) {
		snprintf(why, size, "privileges could not be given up");
		return false;
	}
	return true;
}

bool
become_clean(void)
{
	/* The kept strings stay where exec put them; setenv copies the list when it needs room. */
	static char *clean[KEPT_COUNT + 1];
	size_t count = 0;

	for (size_t i = 0; i < KEPT_COUNT; i++) {
		char *value = getenv(KEPT[i]);
		if (value)
			clean[count++] = value - strlen(KEPT[i]) - 1;
	}
	clean[count] = NULL;
	environ = clean;
	return setenv("PATH", PATH, 1) == 0;
}

bool
become_described(const struct passwd *account)
{
	return setenv("USER", account->pw_name, 1) == 0 &&
	       setenv("HOME", account->pw_dir, 1) == 0 &&
	       setenv("SHELL", account->pw_shell, 1) == 0;
}
