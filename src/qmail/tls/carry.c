/* The bytes of one session: see carry.h. */
#include "tls/carry.h"

#include "lib/clock.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is under way in one direction. */
struct flow {
	char bytes[CARRY_MAX];
	size_t at, end;
	bool ended; /* nothing more is read */
	bool told;  /* the other side knows */
};

struct carrier {
	SSL *session;
	int client, door;
	struct flow in, out; /* from the client to the door, and back */
	short wish;          /* events of the client's socket that the session waits for */
	bool gone;           /* the door neither reads nor writes any more */
	bool broken;         /* nothing can be done any more */
	void (*leaving)(void);
	long long until, pause; /* when to give up, once the door is gone */
};

static bool
flow_empty(const struct flow *flow)
{
	return flow->at == flow->end;
}

/* What a call of OpenSSL's has left to wait for. False: nothing, it is an end of the whole. */
static bool
wants(struct carrier *c, int result)
{
	switch (SSL_get_error(c->session, result)) {
	case SSL_ERROR_WANT_READ: c->wish |= POLLIN; return true;
	case SSL_ERROR_WANT_WRITE: c->wish |= POLLOUT; return true;
	default: return false;
	}
}

/* Each of the following four does what can be done now: true if that was something. */
static bool
from_client(struct carrier *c)
{
	int got;

	if (c->in.ended || !flow_empty(&c->in))
		return false;
	ERR_clear_error();
	got = SSL_read(c->session, c->in.bytes, sizeof c->in.bytes);
	if (got > 0) {
		c->in.at = 0;
		c->in.end = (size_t)got;
		return true;
	}
	if (SSL_get_error(c->session, got) == SSL_ERROR_ZERO_RETURN) {
		c->in.ended = true;
		return true;
	}
	if (!wants(c, got))
		c->broken = true;
	return false;
}

static bool
to_door(struct carrier *c)
{
	ssize_t put;

	if (flow_empty(&c->in)) {
		if (!c->in.ended || c->in.told)
			return false;
		shutdown(c->door, SHUT_WR);
		c->in.told = true;
		return true;
	}
	put = send(
	    c->door, c->in.bytes + c->in.at, c->in.end - c->in.at, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (put > 0) {
		c->in.at += (size_t)put;
		return true;
	}
	if (put < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* Nobody reads it: it is thrown away, and what the door has said still goes to the client.
	 */
	c->in.at = c->in.end;
	c->in.ended = c->in.told = true;
	return true;
}

static bool
from_door(struct carrier *c)
{
	ssize_t got;

	if (c->out.ended || !flow_empty(&c->out))
		return false;
	got = recv(c->door, c->out.bytes, sizeof c->out.bytes, MSG_DONTWAIT);
	if (got > 0) {
		c->out.at = 0;
		c->out.end = (size_t)got;
		return true;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	c->out.ended = true;
	return true;
}

/* The end is close_notify (RFC 8446 section 6.1), as far as it goes without waiting, and the
 * connection's. */
static bool
end_to_client(struct carrier *c)
{
	int result;

	if (!c->out.ended || c->out.told)
		return false;
	ERR_clear_error();
	result = SSL_shutdown(c->session);
	if (result < 0 && wants(c, result))
		return false;
	shutdown(c->client, SHUT_WR);
	c->out.told = true;
	return true;
}

static bool
to_client(struct carrier *c)
{
	int put;

	if (flow_empty(&c->out))
		return end_to_client(c);
	ERR_clear_error();
	put = SSL_write(c->session, c->out.bytes + c->out.at, (int)(c->out.end - c->out.at));
	if (put > 0) {
		c->out.at += (size_t)put;
		c->pause = clock_after(DRAIN_PAUSE);
		return true;
	}
	if (!wants(c, put))
		c->broken = true;
	return false;
}

static bool
over(const struct carrier *c)
{
	return c->broken || (c->out.told && (c->in.told || c->gone));
}

/* Nothing is polled that nothing is wanted of, so that an end that is known wakes nobody. */
static void
wait_for_either(struct carrier *c)
{
	struct pollfd wait[2] = {{.fd = c->wish ? c->client : -1, .events = c->wish},
	    {.fd = c->gone ? -1 : c->door}}; /* that it has gone comes without being asked for */
	int patience = -1;

	if (!c->out.ended && flow_empty(&c->out))
		wait[1].events |= POLLIN;
	if (!flow_empty(&c->in))
		wait[1].events |= POLLOUT;
	if (c->gone) {
		long long now = clock_ms();
		long long until = c->pause < c->until ? c->pause : c->until;

		if (now >= until) {
			c->broken = true;
			return;
		}
		patience = (int)(until - now);
	}
	if (poll(wait, 2, patience) < 0)
		return;
	if (wait[1].revents & (POLLHUP | POLLERR | POLLNVAL)) {
		c->gone = true;
		c->in.at = c->in.end;
		c->in.ended = c->in.told = true;
		c->until = clock_after(DRAIN_TIME);
		c->pause = clock_after(DRAIN_PAUSE);
		c->leaving();
	}
}

static bool
progress(struct carrier *c)
{
	bool done = false;

	c->wish = 0;
	done |= from_door(c);
	if (!c->broken)
		done |= to_client(c);
	if (!c->broken)
		done |= from_client(c);
	if (!c->broken)
		done |= to_door(c);
	return done;
}

void
carry(SSL *session, int client, int door, void (*leaving)(void))
{
	static struct carrier carrier;
	struct carrier *c = &carrier;

	c->session = session;
	c->client = client;
	c->door = door;
	c->leaving = leaving;
	while (!over(c))
		if (!progress(c) && !over(c))
			wait_for_either(c);
}
