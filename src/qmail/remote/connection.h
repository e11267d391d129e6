/*
 * The connection to a server, and the limits in time that hold on it: a reply is whole within
 * timeoutremote seconds of its command, each write makes progress within as many, and
 * nothing goes on past the end of the attempt.
 */
#ifndef REMOTE_CONNECTION_H
#define REMOTE_CONNECTION_H

#include "lib/bio.h"
#include "lib/chan.h"
#include "lib/netip.h"
#include "remote/reply.h"

struct connection {
	struct chan chan;
	struct in in;
	struct out out;
	unsigned patience; /* seconds, timeoutremote */
	long long reply_end, attempt_end;
	char in_buffer[4096], out_buffer[16384];
};

/*
 * Connects to ip and port, from the address of its own that is given (NULL: the kernel
 * chooses), within seconds and before attempt_end. False with errno; ETIMEDOUT for either
 * limit. The connection must not move in memory afterwards.
 *
 * A program built with QMAIL_TESTABLE connects to what QMAIL_TEST_MAP has for the address:
 * "192.0.2.1=127.0.0.1:2525 2001:db8::1=127.0.0.1:2526"; other addresses are refused then.
 */
bool connection_open(struct connection *connection, const struct netip *ip, unsigned port,
    const struct netip *from, unsigned seconds, long long attempt_end);
void connection_close(struct connection *connection);

struct tls;

/*
 * Switches to TLS with a session that tls_client made, within timeoutremote. What was read
 * ahead is forgotten. False with a reason in error: the connection is only good for closing.
 */
bool connection_start_tls(struct connection *connection, struct tls *tls, struct str *error);

enum connection_reply { CONNECTION_REPLY, CONNECTION_MALFORMED, CONNECTION_DEAD };

/* Hands over what was written and reads the reply to it. */
enum connection_reply connection_read(
    struct connection *connection, struct reply *reply, unsigned seconds);
/* The same for a line (CR LF is added) and its reply within timeoutremote. */
enum connection_reply connection_say(
    struct connection *connection, const char *line, struct reply *reply);

#endif
