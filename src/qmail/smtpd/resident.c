/* TLS by qmail-tlsd: see resident.h. */
#include "smtpd/resident.h"

#include "lib/clock.h"

#include <unistd.h>

/* Gives a descriptor for start, or -1. */
static int
prepare(const struct session *s)
{
	struct str error = STR_INIT;
	int fd = tlsclient_open(s->client.tlsd, &error);

	if (fd < 0)
		note(s, "TLS not available: %s", error.s);
	str_free(&error);
	return fd;
}

/* The handshake may take its own time and what is left of the session's. */
static long long
time_left(const struct session *s)
{
	const long long left = s->chan.deadline - clock_ms();
	const unsigned long timeout =
	    s->config.timeout_tls < s->chan.timeout ? s->config.timeout_tls : s->chan.timeout;

	if (left < (long long)timeout * 1000)
		return left > 0 ? left : 0;
	return (long long)timeout * 1000;
}

static void
start(struct session *s, int fd)
{
	struct str error = STR_INIT;

	if (!tlsclient_start(fd, time_left(s), &s->tls, &error)) {
		note(s, "ended: %s", error.s);
		/* No last words: the channel is neither clear nor encrypted. */
		_exit(1);
	}
	s->chan.protocol = s->tls.protocol;
	s->chan.cipher = s->tls.cipher;
	str_free(&error);
}

void
resident_session(struct session *s)
{
	int fd = prepare(s);

	if (fd < 0) {
		session_refuse_tls(s);
		return;
	}
	session_agree_to_tls(s);
	start(s, fd);
}

void
resident_at_once(struct session *s)
{
	int fd = prepare(s);

	if (fd < 0)
		_exit(1);
	start(s, fd);
}
