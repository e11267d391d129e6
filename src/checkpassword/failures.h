/*
 * What has failed lately: a table of counts that all checks of a host share, over all its doors and
 * their restarts.
 *
 * Failures count three times: for the client's address, for the network around it, and for the
 * account that was asked for. A count is forgotten evenly over time; where it has reached its
 * limit, nothing is checked until a part of it is forgotten. Whoever has been right about an
 * account from an address is counted there by himself, so that strangers can't lock him out.
 *
 * An attempt is charged before its password is looked at and given back when it was right: a
 * hundred guesses at once are no more than a hundred one after the other.
 *
 * The table is a file of one size, whoever comes: 8 places for each value of a keyed hash, where
 * the lowest count gives way. It is mapped, and each place is one word that is exchanged
 * atomically, so there is no lock that a stopped process could hold, and no state of the file is
 * undefined. A file that is missing or of another kind is made anew. What is in it is no more than
 * hashes and times.
 */
#ifndef FAILURES_H
#define FAILURES_H

#include "place.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 failures: no limit. */
struct failures_limits {
	unsigned long address, network, account;
	unsigned long seconds; /* in which a full count is forgotten */
	unsigned long trust;   /* seconds for which a right password is remembered */
};

struct failures; /* the table, mapped */

/* Opens the table, or makes it. NULL with one sentence in why[0..size). The directory must be one
   that trusted.h trusts. */
struct failures *failures_open(const char *path, char *why, size_t size);
void failures_close(struct failures *table);

enum failures_verdict {
	FAILURES_FEW, /* it may be checked, and is charged */
	FAILURES_OF_ADDRESS,
	FAILURES_OF_NETWORK,
	FAILURES_OF_ACCOUNT,
};

/* One attempt; what it was charged for. */
struct failures_attempt {
	uint64_t address, network, account, pair;
	bool charged_address, charged_network, charged_account, charged_pair;
};

/* Charges an attempt at the account `user` from a place; now is in seconds since 1970. Where the
   place is excepted, only the account counts. Anything but FAILURES_FEW: nothing was charged. */
enum failures_verdict failures_charge(struct failures *table, struct failures_attempt *attempt,
    const struct failures_limits *limits, const char *user, const struct place *place,
    bool excepted, int64_t now);

/* Gives back what an attempt was charged, once. */
void failures_give_back(struct failures *table, struct failures_attempt *attempt,
    const struct failures_limits *limits, int64_t now);

/* Remembers that the password was right, and gives back. */
void failures_right(struct failures *table, struct failures_attempt *attempt,
    const struct failures_limits *limits, int64_t now);

/* How many failures count now. */
unsigned long failures_of_account(
    struct failures *table, const struct failures_limits *limits, const char *user, int64_t now);
unsigned long failures_of_address(struct failures *table, const struct failures_limits *limits,
    const struct place *place, int64_t now);
unsigned long failures_of_network(struct failures *table, const struct failures_limits *limits,
    const struct place *place, int64_t now);
/* Those of an account at a place where it was right lately. False where it was not: then it counts
   there like anybody. */
bool failures_of_pair(struct failures *table, const struct failures_limits *limits,
    const char *user, const struct place *place, int64_t now, unsigned long *failed);

/* Forgets them. */
void failures_forget_account(struct failures *table, const char *user);
void failures_forget_place(struct failures *table, const struct place *place);
/* Those of somebody who was right there once. */
void failures_forget_pair(struct failures *table, const char *user, const struct place *place);

enum { FAILURES_KEY_BYTES = 16 };

/* SipHash-2-4 of bytes[0..length). */
uint64_t failures_hash(
    const unsigned char key[FAILURES_KEY_BYTES], const unsigned char *bytes, size_t length);

#endif
