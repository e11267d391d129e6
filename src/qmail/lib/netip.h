/* IP addresses: parsing, printing, and which of them are this host. */
#ifndef LIB_NETIP_H
#define LIB_NETIP_H

#include "lib/str.h"

#include <netinet/in.h>

/*
 * Sixteen bytes in network order; IPv4 is kept as ::ffff:a.b.c.d, so that one comparison
 * serves both families.
 */
struct netip {
	struct in6_addr a;
	unsigned scope; /* for link-local IPv6, else 0 */
};

/* Dotted IPv4 or IPv6 text, no brackets. */
bool netip_parse(const char *text, struct netip *ip);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3), whole. */
bool netip_parse_literal(const char *text, struct netip *ip);
void netip_add(struct str *to, const struct netip *ip);
bool netip_is_v4(const struct netip *ip);
bool netip_equal(const struct netip *a, const struct netip *b);

/* One of this host's interfaces, the unspecified address (0.0.0.0, ::) or loopback. */
bool netip_is_me(const struct netip *ip);

#endif
