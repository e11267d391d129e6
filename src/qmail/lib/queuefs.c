/* The queue's paths: see queuefs.h. */
#include "lib/queuefs.h"

#include "lib/bio.h"

#include <fcntl.h>
#include <unistd.h>

void
queue_path(struct str *path, const char *directory, bool split, unsigned long id)
{
	str_set(path, directory);
	if (split)
		str_addf(path, "/%lu", id % QUEUE_SPLIT);
	str_addf(path, "/%lu", id);
}

void
queue_trigger(void)
{
	int fd = open(QUEUE_TRIGGER, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	fd_write_all(fd, "", 1);
	close(fd);
}

bool
directory_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = fsync(fd) == 0;
	close(fd);
	return done;
}
