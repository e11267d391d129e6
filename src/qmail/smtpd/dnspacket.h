/*
 * DNS packets (RFC 1035 section 4), as far as a door needs them: one question, and what is answered
 * to it. Pure functions over bytes.
 */
#ifndef SMTPD_DNSPACKET_H
#define SMTPD_DNSPACKET_H

#include "lib/list.h"
#include "lib/str.h"

#include <stdint.h>

#define DNS_A 1
#define DNS_PTR 12
#define DNS_MX 15
#define DNS_AAAA 28

#define DNSPACKET_MAX 512 /* bytes, by UDP: section 2.3.4 */
#define DNSPACKET_ITEMS 16

/* Replaces *to. False: this is no name for the DNS. */
bool dnspacket_query(struct str *to, uint16_t id, const char *name, uint16_t kind);

enum dnspacket {
	DNSPACKET_OTHER, /* this is no answer to the question */
	DNSPACKET_FAILED,
	DNSPACKET_NONE, /* there is no such record, or no such name */
	DNSPACKET_SOME
};

/*
 * What the answer to a query of ours says. SOME: items has the first records of the kind that was
 * asked for: addresses as netip_add writes them, names (PTR, MX) in small letters.
 */
enum dnspacket dnspacket_answer(
    const struct str *query, const char *answer, size_t len, struct list *items);

#endif
