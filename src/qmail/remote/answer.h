/*
 * What a DNS answer says about mail: pure functions over the bytes of a packet, which may be
 * up to 64 KiB of anything. The packet itself is parsed by c-ares.
 */
#ifndef REMOTE_ANSWER_H
#define REMOTE_ANSWER_H

#include "lib/netip.h"

enum answer {
	ANSWER_FOUND,
	ANSWER_NOTHING, /* the name exists, no such record does */
	ANSWER_NO_NAME, /* the name does not exist, or can't be one */
	ANSWER_LATER    /* no answer, a server's failure, or a malformed packet */
};

#define MX_MAX 20      /* mail exchangers considered, the best ones */
#define ADDRESS_MAX 16 /* addresses considered of one name and family */
#define HOST_NAME_MAX_DNS 255

struct mx {
	unsigned preference;
	char name[HOST_NAME_MAX_DNS + 1];
};

struct mx_list {
	struct mx items[MX_MAX]; /* best first, in random order among equals */
	size_t count;
	bool null_mx; /* the domain's only record says that it takes no mail (RFC 7505) */
};

struct address_list {
	struct netip items[2 * ADDRESS_MAX];
	size_t count;
};

/* What a status of c-ares means. */
enum answer answer_status(int status);
/*
 * Reads the answer to a question for MX. Records of an empty name next to others are left
 * out, as are names too long to be looked up. random gives any number; it orders equals.
 */
enum answer answer_mx(
    const unsigned char *packet, size_t len, struct mx_list *list, unsigned (*random)(void));
/* Adds the addresses of an answer to a question for A (v6 false) or AAAA. */
enum answer answer_addresses(
    const unsigned char *packet, size_t len, bool v6, struct address_list *list);

#endif
