/* Network connections: see chan.h. */
#include "lib/chan.h"

#include "lib/bio.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

static long long
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int
fd_wait(int fd, short events, unsigned seconds)
{
	long long until = milliseconds() + seconds * 1000LL;

	for (;;) {
		struct pollfd wait = {.fd = fd, .events = events};
		long long left = until - milliseconds();
		int ready = poll(&wait, 1, left > 0 ? (int)(left > 86400000 ? 86400000 : left) : 0);

		if (ready > 0)
			return 1;
		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready == 0 && milliseconds() >= until) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
}

ssize_t
chan_read(void *chan, char *buffer, size_t len)
{
	struct chan *c = chan;

	if (fd_wait(c->in, POLLIN, c->timeout) < 0)
		return -1;
	return fd_read((void *)(intptr_t)c->in, buffer, len);
}

ssize_t
chan_write(void *chan, const char *bytes, size_t len)
{
	struct chan *c = chan;

	if (fd_wait(c->out, POLLOUT, c->timeout) < 0)
		return -1;
	return fd_write((void *)(intptr_t)c->out, bytes, len);
}
