/*
 * Preloaded into a program of the suite: after each call that may change what is on a disk, and
 * before it says how it has ended, it writes a line to the FIFO STEPS and waits for one from the
 * FIFO STEPS.go. With LAZY in the environment nothing is written out, whatever is asked for.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HIGH 500 /* ours are above what a program uses or moves */

static int to = -1, from = -1;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("STEPS");
	char go[4096];

	if (!path)
		return;
	snprintf(go, sizeof go, "%s.go", path);
	to = open(path, O_WRONLY | O_CLOEXEC);
	from = open(go, O_RDONLY | O_CLOEXEC);
	to = fcntl(to, F_DUPFD_CLOEXEC, HIGH);
	from = fcntl(from, F_DUPFD_CLOEXEC, HIGH);
}

static void
stop(const char *what)
{
	ssize_t (*put)(int, const void *, size_t) =
	    (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	const int error = errno;
	char line[64];

	snprintf(line, sizeof line, "%s\n", what);
	if (to >= 0 && put(to, line, strlen(line)) > 0)
		(void)!read(from, line, 1);
	errno = error;
}

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

int
open(const char *path, int flags, ...)
{
	va_list arguments;
	int mode, fd;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
	va_end(arguments);
	fd = REAL("open", int (*)(const char *, int, ...))(path, flags, mode);
	if (flags & O_CREAT)
		stop("open");
	return fd;
}

int
openat(int directory, const char *path, int flags, ...)
{
	va_list arguments;
	int mode, fd;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
	va_end(arguments);
	fd = REAL("openat", int (*)(int, const char *, int, ...))(directory, path, flags, mode);
	if (flags & O_CREAT)
		stop("openat");
	return fd;
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	ssize_t put = REAL("write", ssize_t(*)(int, const void *, size_t))(fd, bytes, len);

	stop("write");
	return put;
}

int
link(const char *old, const char *new)
{
	int result = REAL("link", int (*)(const char *, const char *))(old, new);

	stop("link");
	return result;
}

int
linkat(int old_fd, const char *old, int new_fd, const char *new, int flags)
{
	int result = REAL("linkat", int (*)(int, const char *, int, const char *, int))(
	    old_fd, old, new_fd, new, flags);

	stop("linkat");
	return result;
}

int
unlink(const char *path)
{
	int result = REAL("unlink", int (*)(const char *))(path);

	stop("unlink");
	return result;
}

int
unlinkat(int directory, const char *path, int flags)
{
	int result = REAL("unlinkat", int (*)(int, const char *, int))(directory, path, flags);

	stop("unlinkat");
	return result;
}

int
fsync(int fd)
{
	int result = getenv("LAZY") ? 0 : REAL("fsync", int (*)(int))(fd);

	stop("fsync");
	return result;
}

int
sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
	int result = getenv("LAZY")
			 ? 0
			 : REAL("sync_file_range", int (*)(int, off64_t, off64_t, unsigned))(
			       fd, offset, len, flags);

	stop("sync_file_range");
	return result;
}

ssize_t
send(int fd, const void *bytes, size_t len, int flags)
{
	stop("answer");
	return REAL("send", ssize_t(*)(int, const void *, size_t, int))(fd, bytes, len, flags);
}

/* Ours stay open when a program closes all that it doesn't know. */
long
syscall(long number, ...)
{
	long (*real)(long, ...) = REAL("syscall", long (*)(long, ...));
	long words[6];
	va_list arguments;
	int i;

	va_start(arguments, number);
	for (i = 0; i < 6; i++)
		words[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_close_range && words[0] < HIGH)
		words[1] = HIGH - 1;
	return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

void
_exit(int code)
{
	stop(code ? "failure" : "answer");
	REAL("_exit", void (*)(int))(code);
	__builtin_unreachable();
}
