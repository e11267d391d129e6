/*
 * What a DNS answer says about mail: pure functions over the bytes of a packet, which may be
 * up to 64 KiB of anything. The packet itself is parsed by c-ares.
 */
#ifndef REMOTE_ANSWER_H
#define REMOTE_ANSWER_H

#include "lib/list.h"
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

/* A name as the answer has it, behind its CNAME records; HOST_NAME_MAX_DNS bytes at most. */
typedef char dns_name[HOST_NAME_MAX_DNS + 1];

struct mx_list {
	struct mx items[MX_MAX]; /* best first, in random order among equals */
	size_t count;
	bool null_mx; /* the domain's only record says that it takes no mail (RFC 7505) */
	bool secure;  /* validated, and so is every alias on the way, or that there is none */
	dns_name canonical;
};

struct address_list {
	struct netip items[2 * ADDRESS_MAX];
	size_t count;
	bool secure; /* as above, of both families */
	dns_name canonical;
};

#define TLSA_MAX 32 /* records considered of one name, in the order of the answer */

/* RFC 6698 section 2.1. The data is that of the list, from at on. */
struct tlsa {
	unsigned usage, selector, matching;
	size_t at, len;
};

struct tlsa_list {
	struct tlsa items[TLSA_MAX];
	size_t count;
	struct str data;
	bool secure;
};

#define TLSA_LIST_INIT                                                                             \
	{                                                                                          \
		.count = 0, .data = STR_INIT, .secure = false                                      \
	}

/* What a status of c-ares means. */
enum answer answer_status(int status);
/* What the header of an answer says; secure is the resolver's word that it has validated all of
 * it (the AD bit, RFC 4035 section 3.2.3). */
enum answer answer_header(const unsigned char *packet, size_t len, bool *secure);
/* Where the CNAME records of an answer lead, from name on: to itself where there are none, to
 * nothing where they go round in a circle or can't be read. */
void answer_canonical(
    const unsigned char *packet, size_t len, const char *name, dns_name *canonical);
/*
 * Reads the answer to a question for MX. Records of an empty name next to others are left
 * out, as are names too long to be looked up. random gives any number; it orders equals.
 */
enum answer answer_mx(
    const unsigned char *packet, size_t len, struct mx_list *list, unsigned (*random)(void));
/* Adds the addresses of an answer to a question for A (v6 false) or AAAA. */
enum answer answer_addresses(
    const unsigned char *packet, size_t len, bool v6, struct address_list *list);
/* Reads the answer to a question for TLSA; every record, whether it is of use or not. */
enum answer answer_tlsa(const unsigned char *packet, size_t len, struct tlsa_list *list);
/* Adds the names of an answer to a question for PTR, at most ADDRESS_MAX. */
enum answer answer_names(const unsigned char *packet, size_t len, struct list *names);

#endif
