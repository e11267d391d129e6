/* The descriptors a program starts with: see descriptors.h. */
#include "lib/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

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
	close_range(3, ~0U, 0);
}
