/* The keys of session tickets: see tickets.h. */
#include "tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#define KEY_LIFE (12 * 3600 * 1000LL)
#define TICKET_LIFE (6 * 3600) /* seconds that a ticket may be old */

enum { NAME = 16, SECRET = 32 };

struct key {
	unsigned char name[NAME], cipher[SECRET], mac[SECRET];
	long long made;
	bool there;
};

static struct key present, previous;

static bool
make(struct key *key, long long now)
{
	key->made = now;
	key->there = RAND_bytes(key->name, sizeof key->name) == 1 &&
		     RAND_priv_bytes(key->cipher, sizeof key->cipher) == 1 &&
		     RAND_priv_bytes(key->mac, sizeof key->mac) == 1;
	return key->there;
}

bool
tickets_turn(long long now)
{
	if (present.there && now - present.made < KEY_LIFE)
		return true;
	if (present.there && now - present.made < 2 * KEY_LIFE)
		previous = present;
	else
		OPENSSL_cleanse(&previous, sizeof previous);
	return make(&present, now);
}

void
tickets_forget(void)
{
	OPENSSL_cleanse(&present, sizeof present);
	OPENSSL_cleanse(&previous, sizeof previous);
}

static bool
use(const struct key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	unsigned char secret[SECRET];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof secret),
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};
	bool done;

	memcpy(secret, key->mac, sizeof secret);
	done = EVP_MAC_CTX_set_params(mac, params) == 1 &&
	       EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, sealing) == 1;
	OPENSSL_cleanse(secret, sizeof secret);
	return done;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 0 is none, 1 is fine, 2 wants a new ticket, below that
 * is an error. */
static int
choose(SSL *session, unsigned char name[NAME], unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int sealing)
{
	const struct key *key = &present;

	if (SSL_version(session) < TLS1_3_VERSION)
		return 0;
	if (sealing) {
		if (!key->there || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return 0;
		memcpy(name, key->name, NAME);
		return use(key, iv, cipher, mac, 1) ? 1 : -1;
	}
	if (!present.there || CRYPTO_memcmp(name, present.name, NAME) != 0)
		key = &previous;
	if (!key->there || CRYPTO_memcmp(name, key->name, NAME) != 0)
		return 0;
	if (!use(key, iv, cipher, mac, 0))
		return -1;
	/* A ticket is taken once by most clients (RFC 8446 appendix C.4), so each session gives a
	 * new one. */
	return 2;
}

void
tickets_use(SSL_CTX *context)
{
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_timeout(context, TICKET_LIFE);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, choose);
}
