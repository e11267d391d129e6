/* A handshake: see handshake.h. */
#include "tls/handshake.h"

#include "lib/clock.h"
#include "tls/bundle.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>

/* False, with errno: the time is over, or the door is gone. */
static bool
wait_for(int client, short events, int door, long long until)
{
	struct pollfd wait[2] = {
	    {.fd = client, .events = events}, {.fd = door, .events = POLLRDHUP}};
	long long left = until - clock_ms();
	int ready = poll(wait, 2, left > 0 ? (int)left : 0);

	if (ready < 0)
		return errno == EINTR;
	if (wait[1].revents) {
		errno = EPIPE;
		return false;
	}
	if (ready == 0 && clock_ms() >= until) {
		errno = ETIMEDOUT;
		return false;
	}
	return true;
}

/* One step. 1: it is done. 0: once more. -1: it has failed, and error says why. */
static int
step(SSL *session, int client, int door, long long until, struct str *error)
{
	int result, wish;

	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(session);
	if (result == 1)
		return 1;
	wish = SSL_get_error(session, result);
	if (wish == SSL_ERROR_WANT_READ || wish == SSL_ERROR_WANT_WRITE) {
		if (wait_for(client, wish == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, door, until))
			return 0;
		if (errno == ETIMEDOUT)
			str_set(error, "TLS handshake timed out");
		else
			str_addf(error, "TLS handshake: %s", strerror(errno));
		return -1;
	}
	if (wish == SSL_ERROR_ZERO_RETURN || (wish == SSL_ERROR_SYSCALL && errno == 0))
		str_set(error, "TLS handshake: the peer went away");
	else if (wish == SSL_ERROR_SYSCALL)
		str_addf(error, "TLS handshake: %s", strerror(errno));
	else
		str_addf(error, "TLS handshake: %s", bundle_reason());
	return -1;
}

bool
handshake_do(SSL *session, int client, int door, long long until, struct str *error)
{
	int done;

	str_clear(error);
	SSL_set_accept_state(session);
	do
		done = step(session, client, door, until, error);
	while (done == 0);
	return done == 1;
}
