#include "trusted.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_MAX = 255 };

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
next_part(const char **path, char part[PART_MAX + 1])
{
	size_t length = strcspn(*path, "/");

	if (length == 0 || length > PART_MAX)
		return false;
	memcpy(part, *path, length);
	part[length] = '\0';
	if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
		return false;
	*path += length;
	return true;
}

int
trusted_open(const char *path, char *why, size_t size)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	const char *rest = path + 1;
	const char *fault = NULL;
	char part[PART_MAX + 1];
	int fd;

	if (*path != '/') {
		snprintf(why, size, "%s: not an absolute path", path);
		return -1;
	}
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fault = strerror(errno);
	while (!fault) {
		int inner;

		if (!next_part(&rest, part)) {
			fault = "not a plain path";
			break;
		}
		fault = directory_fault(fd);
		if (fault)
			break;
		inner = openat(fd, part, *rest ? flags | O_DIRECTORY : flags);
		if (inner < 0) {
			/* O_DIRECTORY reports a link as ENOTDIR; both are refused. */
			fault = open_fault();
			break;
		}
		close(fd);
		fd = inner;
		if (!*rest)
			break;
		rest++;
	}
	if (!fault)
		fault = file_fault(fd);
	if (fault) {
		snprintf(why, size, "%s: %s", path, fault);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}
