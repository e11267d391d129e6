/* The bytes of one session, both ways. */
#ifndef TLS_CARRY_H
#define TLS_CARRY_H

#include <openssl/ssl.h>

/*
 * Carries between the session, over the socket client, and the socket door, neither of which
 * blocks, until both have ended or one of them is broken. An end is carried like everything else:
 * the client's close_notify, or the end of its connection, becomes an end of what the door reads,
 * and the other way round; the other direction goes on. It waits as long as the door does, whose
 * limits are the session's. When the door is gone and something is left, leaving is called, and the
 * client has DRAIN_PAUSE to take some of it, and DRAIN_TIME for all.
 *
 * At most CARRY_MAX bytes are held for each direction, and nothing is read that there is no room
 * for.
 */
void carry(SSL *session, int client, int door, void (*leaving)(void));

#define CARRY_MAX 16384
#define DRAIN_PAUSE 10 /* seconds */
#define DRAIN_TIME 60

#endif
