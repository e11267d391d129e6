/*
 * The keys that seal session tickets (RFC 8446 section 4.6.1): made here, never written anywhere.
 *
 * A key seals for twelve hours, and opens for twelve more. Every process that is forked has those
 * of its moment, so that any can take up what another has begun. Only TLS 1.3 has tickets: there a
 * resumption still agrees on a new secret (psk_dhe_ke), so that who gets hold of these keys reads
 * no session.
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* As often as it is called: a new key where the present one is old, all of them gone after twice
 * that. */
bool tickets_turn(long long now);
/* No ticket that is out counts any more; the next tickets_turn makes a key. */
void tickets_forget(void);
void tickets_use(SSL_CTX *context);

#endif
