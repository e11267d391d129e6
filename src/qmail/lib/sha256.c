/* SHA-256 and HMAC: see sha256.h. The names are those of FIPS 180-4, sections 4.1.2 and 6.2. */
#include "lib/sha256.h"

#include <string.h>

static const uint32_t constants[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b,
    0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74,
    0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3,
    0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354,
    0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3,
    0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa,
    0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t
turn(uint32_t x, unsigned by)
{
	return x >> by | x << (32 - by);
}

static uint32_t
word_at(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static void
schedule(uint32_t w[64], const unsigned char *block)
{
	size_t t;

	for (t = 0; t < 16; t++)
		w[t] = word_at(block + 4 * t);
	for (; t < 64; t++) {
		uint32_t early = w[t - 15], late = w[t - 2];

		w[t] = (turn(late, 17) ^ turn(late, 19) ^ late >> 10) + w[t - 7] +
		       (turn(early, 7) ^ turn(early, 18) ^ early >> 3) + w[t - 16];
	}
}

static void
compress(uint32_t state[8], const unsigned char *block)
{
	uint32_t w[64], v[8];
	size_t t, i;

	schedule(w, block);
	memcpy(v, state, sizeof v);
	for (t = 0; t < 64; t++) {
		uint32_t a = v[0], e = v[4];
		uint32_t t1 = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) +
			      ((e & v[5]) ^ (~e & v[6])) + constants[t] + w[t];
		uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) +
			      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof *v);
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (i = 0; i < 8; i++)
		state[i] += v[i];
	explicit_bzero(w, sizeof w);
}

void
sha256_start(struct sha256 *hash)
{
	static const uint32_t begin[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(hash->state, begin, sizeof begin);
	hash->len = 0;
}

void
sha256_add(struct sha256 *hash, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	size_t have = hash->len % SHA256_BLOCK;

	hash->len += len;
	while (len) {
		size_t part = SHA256_BLOCK - have < len ? SHA256_BLOCK - have : len;

		memcpy(hash->block + have, at, part);
		at += part;
		len -= part;
		have += part;
		if (have == SHA256_BLOCK) {
			compress(hash->state, hash->block);
			have = 0;
		}
	}
}

void
sha256_end(struct sha256 *hash, unsigned char digest[SHA256_SIZE])
{
	static const unsigned char padding[SHA256_BLOCK] = {0x80};
	const uint64_t bits = hash->len * 8;
	const size_t have = hash->len % SHA256_BLOCK;
	unsigned char size[8];
	size_t i;

	for (i = 0; i < sizeof size; i++)
		size[i] = (unsigned char)(bits >> (56 - 8 * i));
	sha256_add(hash, padding, (have < 56 ? 56 : 120) - have);
	sha256_add(hash, size, sizeof size);
	for (i = 0; i < SHA256_SIZE; i++)
		digest[i] = (unsigned char)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
	explicit_bzero(hash, sizeof *hash);
}

static void
hash_both(unsigned char digest[SHA256_SIZE], const unsigned char pad[SHA256_BLOCK],
    const void *bytes, size_t len)
{
	struct sha256 hash;

	sha256_start(&hash);
	sha256_add(&hash, pad, SHA256_BLOCK);
	sha256_add(&hash, bytes, len);
	sha256_end(&hash, digest);
}

void
sha256_hmac(unsigned char digest[SHA256_SIZE], const void *key, size_t key_len, const void *bytes,
    size_t len)
{
	unsigned char pad[SHA256_BLOCK] = {0}, inner[SHA256_SIZE];
	struct sha256 hash;
	size_t i;

	if (key_len > sizeof pad) {
		sha256_start(&hash);
		sha256_add(&hash, key, key_len);
		sha256_end(&hash, pad);
	} else {
		memcpy(pad, key, key_len);
	}
	for (i = 0; i < sizeof pad; i++)
		pad[i] ^= 0x36;
	hash_both(inner, pad, bytes, len);
	for (i = 0; i < sizeof pad; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_both(digest, pad, inner, sizeof inner);
	explicit_bzero(pad, sizeof pad);
	explicit_bzero(inner, sizeof inner);
}
