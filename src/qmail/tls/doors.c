/* Who may ask: see doors.h. */
#include "tls/doors.h"

#include <errno.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/socket.h>

static uid_t admitted[DOORS_MAX];
static size_t count;

bool
doors_admit(const char *user)
{
	const struct passwd *account;

	errno = EINVAL;
	if (count == DOORS_MAX)
		return false;
	errno = 0;
	account = getpwnam(user);
	if (!account)
		return false;
	admitted[count++] = account->pw_uid;
	return true;
}

void
doors_list(struct str *list)
{
	size_t i;

	for (i = 0; i < count; i++)
		str_addf(list, "%s%lu", i ? "," : "", (unsigned long)admitted[i]);
}

bool
doors_admitted(int fd, uid_t *uid)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	size_t i;

	*uid = (uid_t)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	*uid = peer.uid;
	for (i = 0; i < count; i++)
		if (admitted[i] == peer.uid)
			return true;
	return false;
}
