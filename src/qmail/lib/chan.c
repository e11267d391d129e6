/* Network connections: see chan.h. */
#include "lib/chan.h"

#include "lib/bio.h"
#include "lib/tls.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

long long
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int
wait_until(int fd, short events, long long until)
{
	for (;;) {
		struct pollfd wait = {.fd = fd, .events = events};
		long long left = until - clock_ms();
		int ready = poll(&wait, 1, left > 0 ? (int)(left > 86400000 ? 86400000 : left) : 0);

		if (ready > 0)
			return 1;
		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready == 0 && clock_ms() >= until) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
}

int
fd_wait(int fd, short events, unsigned seconds)
{
	return wait_until(fd, events, clock_ms() + seconds * 1000LL);
}

int
chan_wait(const struct chan *chan, int fd, short events)
{
	long long now = clock_ms(), until = now + chan->timeout * 1000LL;

	if (chan->deadline && now >= chan->deadline) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (chan->deadline && chan->deadline < until)
		until = chan->deadline;
	return wait_until(fd, events, until);
}

ssize_t
chan_read_some(struct chan *chan, char *buffer, size_t len)
{
	if (chan_wait(chan, chan->in, POLLIN) < 0)
		return -1;
	return fd_read((void *)(intptr_t)chan->in, buffer, len);
}

/*
 * A descriptor that is ready may still block when more is written than fits. A socket is
 * asked not to; a pipe that is ready takes PIPE_BUF bytes.
 */
static ssize_t
write_ready(int fd, const char *bytes, size_t len)
{
	ssize_t put = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put < 0 && errno == ENOTSOCK)
		put = write(fd, bytes, len < PIPE_BUF ? len : PIPE_BUF);
	return put;
}

ssize_t
chan_write_some(struct chan *chan, const char *bytes, size_t len)
{
	for (;;) {
		ssize_t put;

		if (chan_wait(chan, chan->out, POLLOUT) < 0)
			return -1;
		put = write_ready(chan->out, bytes, len);
		if (put >= 0 || (errno != EINTR && errno != EAGAIN))
			return put;
	}
}

ssize_t
chan_read(void *chan, char *buffer, size_t len)
{
	struct chan *c = chan;

	return c->tls ? tls_read(c, buffer, len) : chan_read_some(c, buffer, len);
}

ssize_t
chan_write(void *chan, const char *bytes, size_t len)
{
	struct chan *c = chan;

	return c->tls ? tls_write(c, bytes, len) : chan_write_some(c, bytes, len);
}

void
chan_linger(const struct chan *chan)
{
	char unread[8192];

	if (shutdown(chan->out, SHUT_WR) < 0)
		return;
	while (chan_wait(chan, chan->in, POLLIN) >= 0)
		if (fd_read((void *)(intptr_t)chan->in, unread, sizeof unread) <= 0)
			return;
}

long long
chan_deadline(unsigned long seconds)
{
	return clock_ms() + (long long)seconds * 1000;
}

bool
chan_pause(const struct chan *chan, unsigned long seconds)
{
	/* What is sent meanwhile is left unread: only the end counts. */
	return !seconds ||
	       (fd_wait(chan->in, POLLRDHUP, (unsigned)seconds) < 0 && errno == ETIMEDOUT);
}
