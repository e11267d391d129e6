/* A session's handshake, within its time. */
#ifndef TLS_HANDSHAKE_H
#define TLS_HANDSHAKE_H

#include "lib/str.h"

#include <openssl/ssl.h>

/* False: error says why. Where door hangs up (any event but what it may say), there is nobody to do
 * it for. */
bool handshake_do(SSL *session, int client, int door, long long until, struct str *error);

#endif
