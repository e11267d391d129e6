#include "trusted.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* NULL if the directory can be relied upon, or what is wrong with it. */
static const char *
directory_fault(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return strerror(errno);
	if (!ours(&st))
		return "its directory must belong to root";
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX))
		return "its directory is writable by group or others";
	return NULL;
}

static const char *
file_fault(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if (!ours(&st))
		return "must belong to root";
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return "writable by group or others (chmod go-w mends it)";
	return NULL;
}

static const char *
open_fault(void)
{
	return errno == ELOOP ? "a symbolic link (name the file itself)" : strerror(errno);
}

/* Copies the part of the path that begins at *path, and leaves *path behind it and its slashes. */
static bool
next_part(const char **path, char part[TRUSTED_NAME_MAX + 1])
{
	size_t length = strcspn(*path, "/");

	if (length == 0 || length > TRUSTED_NAME_MAX)
		return false;
	memcpy(part, *path, length);
	part[length] = '\0';
	if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
		return false;
	*path += length;
	return true;
}

int
trusted_directory(const char *path, char name[TRUSTED_NAME_MAX + 1], char *why, size_t size)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	const char *rest = path + 1;
	const char *fault = NULL;
	bool missing = false;
	int fd;

	errno = 0;
	if (*path != '/') {
		snprintf(why, size, "%s: not an absolute path", path);
		return -1;
	}
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fault = strerror(errno);
	while (!fault) {
		int inner;

		if (!next_part(&rest, name)) {
			fault = "not a plain path";
			break;
		}
		fault = directory_fault(fd);
		if (fault || !*rest)
			break;
		inner = openat(fd, name, flags);
		if (inner < 0) {
			missing = errno == ENOENT;
			/* O_DIRECTORY reports a link as ENOTDIR; both are refused. */
			fault = open_fault();
			break;
		}
		close(fd);
		fd = inner;
		rest++;
	}
	if (!fault)
		return fd;
	snprintf(why, size, "%s: %s", path, fault);
	if (fd >= 0)
		close(fd);
	errno = missing ? ENOENT : 0;
	return -1;
}

int
trusted_open_in(int directory, const char *name, int access, char *why, size_t size)
{
	const int flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	const char *fault;
	int fd = openat(directory, name, access | flags), error = errno;

	fault = fd < 0 ? open_fault() : file_fault(fd);
	if (!fault)
		return fd;
	snprintf(why, size, "%s", fault);
	if (fd >= 0)
		close(fd);
	errno = fd < 0 ? error : 0;
	return -1;
}

int
trusted_open(const char *path, char *why, size_t size)
{
	char name[TRUSTED_NAME_MAX + 1], fault[256];
	int directory = trusted_directory(path, name, why, size), fd;

	if (directory < 0)
		return -1;
	fd = trusted_open_in(directory, name, O_RDONLY, fault, sizeof fault);
	close(directory);
	if (fd < 0)
		snprintf(why, size, "%s: %s", path, fault);
	return fd;
}
