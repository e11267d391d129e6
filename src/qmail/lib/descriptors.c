/* What a program starts with: see descriptors.h. */
#include "lib/descriptors.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

void
descriptors_close(int first)
{
	syscall(SYS_close_range, first, ~0U, 0); /* musl has no function for it */
}

void
descriptors_tidy(void)
{
	int fd;

	for (;;) {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			_exit(111);
		if (fd > 2)
			break;
	}
	close(fd);
	descriptors_close(3);
}

bool
descriptor_given(int fd)
{
	struct stat file;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &file) < 0)
		return false;
	return (flags & O_ACCMODE) != O_RDWR || !S_ISCHR(file.st_mode) ||
	       file.st_rdev != makedev(1, 3);
}

void
process_closed(void)
{
#ifndef QMAIL_TESTABLE /* LeakSanitizer looks into the process that it is part of */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		_exit(111);
#endif
}
