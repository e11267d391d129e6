/* The socket: see place.h. */
#include "tls/place.h"

#include "lib/fatal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 256

_Noreturn static void
impossible(const char *path)
{
	fatal(111, "%s: %s", path, strerror(errno));
}

/* The process is in the group meanwhile, so what it makes, and what is its own, it can give it. */
static void
make_directory(const char *path, gid_t group)
{
	const char *end = strrchr(path, '/');
	char directory[sizeof((struct sockaddr_un *)0)->sun_path];
	struct stat about;

	if (!end || end == path)
		return;
	snprintf(directory, sizeof directory, "%.*s", (int)(end - path), path);
	if (mkdir(directory, 0700) == 0) {
		if (lchown(directory, (uid_t)-1, group) < 0 || chmod(directory, 0710) < 0)
			impossible(directory);
	} else if (errno != EEXIST) {
		impossible(directory);
	}
	if (lstat(directory, &about) < 0)
		impossible(directory);
	if (!S_ISDIR(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 022))
		fatal(111, "%s: others can write to it", directory);
}

/* Nobody can connect before all of it is as it should be: the mode is the group's, and only then
 * the socket is listened at. */
static int
listen_at(const struct sockaddr_un *address, gid_t group)
{
	const char *path = address->sun_path;
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const mode_t before = umask(0177);

	if (fd < 0 || (unlink(path) < 0 && errno != ENOENT) ||
	    bind(fd, (const struct sockaddr *)address, sizeof *address) < 0)
		impossible(path);
	umask(before);
	if (group != (gid_t)-1 && (lchown(path, (uid_t)-1, group) < 0 || chmod(path, 0660) < 0))
		impossible(path);
	if (listen(fd, BACKLOG) < 0)
		impossible(path);
	return fd;
}

int
place_listen(const char *path, gid_t group)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const gid_t own = getegid();
	int fd;

	if (strlen(path) >= sizeof address.sun_path)
		fatal(100, "%s: too long for a socket's path", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (group != (gid_t)-1) {
		if (setegid(group) < 0)
			fatal(111, "setegid: %s", strerror(errno));
		make_directory(path, group);
	}
	fd = listen_at(&address, group);
	if (group != (gid_t)-1 && setegid(own) < 0)
		fatal(111, "setegid: %s", strerror(errno));
	return fd;
}
