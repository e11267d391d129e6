/*
 * The sender rewriting scheme (M. Weber Wong, "SRS: The Sender Rewriting Scheme", 2003, in the form
 * that libsrs2 and postsrsd write): a host that forwards mail is a sender of its own, and what
 * bounces finds its way back.
 *
 *	SRS0=HASH=DAY=DOMAIN=LOCAL@our.domain		of LOCAL@DOMAIN
 *	SRS1=HASH=FIRST==HASH=DAY=DOMAIN=LOCAL@our.domain	of SRS0=...@FIRST, as of
 *SRS1=...=FIRST=...
 *
 * Only who signed a HASH ever checks it: ours is the first 40 bits of HMAC-SHA256 over the digit of
 * SRS0 or SRS1 and what follows the hash, in small letters (a mail system on the way may have
 *changed them), as eight letters of base 32. DAY is two such letters, days since 1970 modulo 1024.
 *Between SRS0 or SRS1 and HASH there may be
 * =, + or -.
 *
 * Pure functions; nothing is taken for granted of an address.
 */
#ifndef LIB_SRS_H
#define LIB_SRS_H

#include "lib/list.h"

#define SRS_DAYS 21      /* for which an address leads back */
#define SRS_KEY_LEAST 32 /* letters of a key */

enum srs {
	SRS_OK,
	SRS_NONE,   /* no address of this scheme */
	SRS_FORGED, /* one, but not signed by a key of these */
	SRS_EXPIRED
};

/* What control/NAME has: the keys, the first of which signs. False (errno) without a good one. */
bool srs_keys(struct list *keys, const char *name);

/* Whether the local part is of this scheme. */
bool srs_is(const struct str *address);

/*
 * Sets to to the address that stands for sender at domain; false for a sender without a domain, or
 * one that makes too long an address.
 */
bool srs_forward(struct str *to, const struct str *sender, const char *domain,
    const struct list *keys, long today);

/* Sets to to the address that the local part of address stands for. SRS1 has no day. */
enum srs srs_reverse(
    struct str *to, const struct str *address, const struct list *keys, long today);

#endif
