/* Locks of single bytes of a file, had by whoever opened it and until it is closed: fcntl's OFD. */
#ifndef LOCK_H
#define LOCK_H

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/* Locks (F_WRLCK) or unlocks (F_UNLCK) one byte, and never waits. */
static inline bool
set_lock(int fd, short type, off_t at)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

	return !fcntl(fd, F_OFD_SETLK, &lock);
}

/* By somebody else, that is. */
static inline bool
is_locked(int fd, off_t at)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

	return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

#endif
