/* Network connections: see chan.h. */
#include "lib/chan.h"

#include "lib/bio.h"
#include "lib/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* True, with errno set, once the deadline is over. */
static bool
is_too_late(const struct chan *chan, long long now)
{
	if (!chan->deadline || now < chan->deadline)
		return false;
	errno = ETIMEDOUT;
	return true;
}

int
chan_wait(const struct chan *chan, int fd, short events)
{
	long long now = clock_ms(), until = now + chan->timeout * 1000LL;

	if (is_too_late(chan, now))
		return -1;
	if (chan->deadline && chan->deadline < until)
		until = chan->deadline;
	return fd_wait_until(fd, events, until);
}

ssize_t
chan_read_some(struct chan *chan, char *buffer, size_t len)
{
	if (chan_wait(chan, chan->in, POLLIN) < 0)
		return -1;
	return fd_read(chan->in, buffer, len);
}

/*
 * A descriptor that is ready may still block when more is written than fits. A socket is asked not
 * to, and so needs no waiting as long as it takes what it gets; a pipe that is ready takes PIPE_BUF
 * bytes.
 */
ssize_t
chan_write_some(struct chan *chan, const char *bytes, size_t len)
{
	bool socket = true;
	ssize_t put;

	for (;;) {
		if (is_too_late(chan, clock_ms()))
			return -1;
		put = socket ? send(chan->out, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL)
			     : write(chan->out, bytes, len < PIPE_BUF ? len : PIPE_BUF);
		if (put >= 0 || (errno != EINTR && errno != EAGAIN && errno != ENOTSOCK))
			return put;
		socket = socket && errno != ENOTSOCK;
		if (chan_wait(chan, chan->out, POLLOUT) < 0)
			return -1;
	}
}

ssize_t
chan_read(void *chan, char *buffer, size_t len)
{
	struct chan *c = chan;

	return c->read ? c->read(c, buffer, len) : chan_read_some(c, buffer, len);
}

ssize_t
chan_write(void *chan, const char *bytes, size_t len)
{
	struct chan *c = chan;

	return c->write ? c->write(c, bytes, len) : chan_write_some(c, bytes, len);
}

void
chan_end(struct chan *chan)
{
	if (chan->end)
		chan->end(chan);
}

void
chan_linger(const struct chan *chan)
{
	char unread[8192];

	if (shutdown(chan->out, SHUT_WR) < 0)
		return;
	while (chan_wait(chan, chan->in, POLLIN) >= 0)
		if (fd_read(chan->in, unread, sizeof unread) <= 0)
			return;
}

bool
chan_pause(const struct chan *chan, unsigned long seconds)
{
	/* What is sent meanwhile is left unread: only the end counts. */
	return !seconds ||
	       (fd_wait(chan->in, POLLRDHUP, (unsigned)seconds) < 0 && errno == ETIMEDOUT);
}
