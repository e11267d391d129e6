/*
 * SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104), for the few bytes of an address.
 *
 * Our own, since qmail-smtpd has no OpenSSL and is not to load it for a recipient, and since both
 * ends of lib/srs.h are then one piece of code. It works in constant time: no branch and no index
 * depends on what is hashed.
 */
#ifndef LIB_SHA256_H
#define LIB_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_BLOCK 64

struct sha256 {
	uint32_t state[8];
	uint64_t len; /* bytes so far */
	unsigned char block[SHA256_BLOCK];
};

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t len);
void sha256_end(struct sha256 *hash, unsigned char digest[SHA256_SIZE]);

void sha256_hmac(unsigned char digest[SHA256_SIZE], const void *key, size_t key_len,
    const void *bytes, size_t len);

#endif
