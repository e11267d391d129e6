/* The connection to a server: see connection.h. */
#include "remote/connection.h"

#include "lib/clock.h"
#include "lib/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONGEST 86400 /* seconds; the deadline comes before */

/* Sets the channel's limit for one call, whatever TLS may need to make a record whole. False when
 * the time is over. */
static bool
limit(struct connection *connection, long long end)
{
	connection->chan.deadline = end < connection->attempt_end ? end : connection->attempt_end;
	connection->chan.timeout = LONGEST;
	if (clock_ms() < connection->chan.deadline)
		return true;
	errno = ETIMEDOUT;
	return false;
}

static ssize_t
limited_read(void *context, char *buffer, size_t len)
{
	struct connection *connection = context;

	while (limit(connection, connection->reply_end)) {
		ssize_t got = chan_read(&connection->chan, buffer, len);

		if (got >= 0 || errno != EAGAIN)
			return got;
	}
	return -1;
}

static ssize_t
limited_write(void *context, const char *bytes, size_t len)
{
	struct connection *connection = context;
	long long end = clock_after(connection->patience);

	while (limit(connection, end)) {
		ssize_t put = chan_write(&connection->chan, bytes, len);

		if (put >= 0 || errno != EAGAIN)
			return put;
	}
	return -1;
}

struct place {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t len;
};

static struct place
place_of(const struct netip *ip, unsigned port)
{
	struct place place = {.len = 0};

	if (netip_is_v4(ip)) {
		place.address.v4.sin_family = AF_INET;
		place.address.v4.sin_port = htons((uint16_t)port);
		memcpy(&place.address.v4.sin_addr, ip->a.s6_addr + 12, 4);
		place.len = sizeof place.address.v4;
	} else {
		place.address.v6.sin6_family = AF_INET6;
		place.address.v6.sin6_port = htons((uint16_t)port);
		place.address.v6.sin6_addr = ip->a;
		place.address.v6.sin6_scope_id = ip->scope;
		place.len = sizeof place.address.v6;
	}
	return place;
}

#ifdef QMAIL_TESTABLE

static bool
redirect(struct netip *ip, unsigned *port)
{
	const char *map = getenv("QMAIL_TEST_MAP");
	struct str key = STR_INIT, value = STR_INIT;
	unsigned long number = 0;
	const char *found;
	bool known;

	if (!map)
		return true;
	netip_add(&key, ip);
	str_add_char(&key, '=');
	found = strstr(map, key.s);
	if (found) {
		found += key.len;
		str_set_bytes(&value, found, strcspn(found, " "));
		str_set(&key, value.s + str_rfind(&value, ':') + 1);
		str_cut(&value, str_rfind(&value, ':'));
	}
	known = found && number_parse(key.s, 65535, &number) && netip_parse(value.s, ip);
	*port = (unsigned)number;
	str_free(&key);
	str_free(&value);
	errno = ECONNREFUSED;
	return known;
}

#endif

static bool
await_connection(int fd, long long end)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (fd_wait_until(fd, POLLOUT, end) < 0)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return false;
	errno = error;
	return !error;
}

static bool
connect_to(int fd, const struct netip *ip, unsigned port, const struct netip *from, long long end)
{
	struct place place;

	if (from) {
		place = place_of(from, 0);
		if (bind(fd, &place.address.any, place.len) < 0)
			return false;
	}
	place = place_of(ip, port);
	if (connect(fd, &place.address.any, place.len) == 0)
		return true;
	return errno == EINPROGRESS && await_connection(fd, end);
}

bool
connection_open(struct connection *connection, const struct netip *ip, unsigned port,
    const struct netip *from, unsigned seconds, long long attempt_end)
{
	struct netip to = *ip;
	long long end = clock_after(seconds);
	int fd, error;

#ifdef QMAIL_TESTABLE
	if (!redirect(&to, &port))
		return false;
#endif
	/* The socket never blocks, so that a write takes no more than the kernel has room for. */
	fd = socket(
	    netip_is_v4(&to) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	if (!connect_to(fd, &to, port, from, end < attempt_end ? end : attempt_end)) {
		error = errno;
		close(fd);
		errno = error;
		return false;
	}
	connection->chan = (struct chan){.in = fd, .out = fd};
	connection->attempt_end = attempt_end;
	in_open(&connection->in, limited_read, connection, connection->in_buffer,
	    sizeof connection->in_buffer);
	out_open(&connection->out, limited_write, connection, connection->out_buffer,
	    sizeof connection->out_buffer);
	return true;
}

bool
connection_start_tls(struct connection *connection, struct tls *tls, struct str *error)
{
	long long end = clock_after(connection->patience);

	in_discard(&connection->in);
	limit(connection, end);
	if (tls_start(tls, &connection->chan, error))
		return true;
	connection->in.failed = connection->out.failed = true;
	connection->in.error = connection->out.error = EPROTO;
	return false;
}

void
connection_close(struct connection *connection)
{
	chan_end(&connection->chan);
	close(connection->chan.in);
}

enum connection_reply
connection_read(struct connection *connection, struct reply *reply, unsigned seconds)
{
	struct str line = STR_INIT;
	enum connection_reply result = CONNECTION_DEAD;
	enum reply_state state = REPLY_MORE;

	reply_start(reply);
	/* A server may answer and hang up before it has read everything: its words count. */
	out_flush(&connection->out);
	connection->reply_end = clock_after(seconds);
	while (state == REPLY_MORE) {
		enum in_line got = in_line(&connection->in, &line, '\n', REPLY_LINE + 1);

		if (got == IN_LINE_PARTIAL)
			errno = ECONNRESET;
		if (got == IN_LINE_ERROR || got == IN_LINE_PARTIAL)
			break;
		state = got == IN_LINE_LONG ? REPLY_MALFORMED : reply_line(reply, line.s, line.len);
	}
	if (state == REPLY_WHOLE)
		result = CONNECTION_REPLY;
	else if (state == REPLY_MALFORMED)
		result = CONNECTION_MALFORMED;
	str_free(&line);
	return result;
}

enum connection_reply
connection_say(struct connection *connection, const char *line, struct reply *reply)
{
	out_text(&connection->out, line);
	out_text(&connection->out, "\r\n");
	return connection_read(connection, reply, connection->patience);
}
