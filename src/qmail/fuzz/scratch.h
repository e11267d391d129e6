/* A file in memory, for targets that read files: overwritten for each input. */
#ifndef FUZZ_SCRATCH_H
#define FUZZ_SCRATCH_H

#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int
scratch_open(void)
{
	int fd = memfd_create("scratch", MFD_CLOEXEC);

	MUST(fd >= 0);
	return fd;
}

static inline void
scratch_fill(int fd, const void *bytes, size_t len)
{
	MUST(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, len, 0) == (ssize_t)len);
}

#endif
