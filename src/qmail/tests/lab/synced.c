/*
 * Preloaded into a program of the suite: writes to the file SYNCED, one a line, what the program
 * has had put on disk and what it has given a name, in their order.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
note(const char *what, const char *path)
{
	const char *log = getenv("SYNCED");
	int fd = log ? open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;

	if (fd >= 0) {
		dprintf(fd, "%s %s\n", what, path);
		close(fd);
	}
}

int
fsync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	char name[64], path[4096];
	ssize_t length;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	length = readlink(name, path, sizeof path - 1);
	path[length > 0 ? length : 0] = '\0';
	note("fsync", path);
	return real(fd);
}

int
link(const char *from, const char *to)
{
	int (*real)(const char *, const char *) =
	    (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "link");

	note("name", to);
	return real(from, to);
}

int
rename(const char *from, const char *to)
{
	int (*real)(const char *, const char *) =
	    (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");

	note("name", to);
	return real(from, to);
}

int
linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	int (*real)(int, const char *, int, const char *, int) =
	    (int (*)(int, const char *, int, const char *, int))dlsym(RTLD_NEXT, "linkat");

	note("name", to);
	return real(from_fd, from, to_fd, to, flags);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	int (*real)(int, const char *, int, const char *) =
	    (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");

	note("name", to);
	return real(from_fd, from, to_fd, to);
}
