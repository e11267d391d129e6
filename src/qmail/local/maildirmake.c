/* maildirmake: makes a Maildir, whole or not at all. See maildirmake(1). */
#include "lib/bio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const parts[] = {"tmp", "new", "cur"};

#define PARTS (sizeof parts / sizeof *parts)

static bool
make_parts(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
	size_t made = 0;

	while (fd >= 0 && made < PARTS && !mkdirat(fd, parts[made], 0700))
		made++;
	if (fd >= 0 && made == PARTS && !fsync(fd)) {
		close(fd);
		return true;
	}
	error = errno;
	while (made)
		unlinkat(fd, parts[--made], AT_REMOVEDIR);
	if (fd >= 0)
		close(fd);
	errno = error;
	return false;
}

int
main(int count, char **arguments)
{
	int error;

	umask(077);
	if (count != 2 || !*arguments[1]) {
		say("maildirmake: usage: maildirmake directory\n");
		return 100;
	}
	if (mkdir(arguments[1], 0700)) {
		say("maildirmake: can't make %s: %s\n", arguments[1], strerror(errno));
		return 111;
	}
	if (make_parts(arguments[1]))
		return 0;
	error = errno;
	rmdir(arguments[1]);
	say("maildirmake: can't make tmp, new and cur in %s: %s\n", arguments[1], strerror(error));
	return 111;
}
