/*
 * The addresses to try for a host, in order (RFC 5321 section 5).
 *
 * With a route to a relay: the relay's addresses. With an address literal: that address. Else
 * the addresses of the mail exchangers, best preference first and in random order among
 * equals; without MX records those of the host itself. Where this host is among the mail
 * exchangers, only better ones than itself remain; an explicit relay is not checked for that.
 *
 * IPv6 addresses are left out as control/outgoingipv6 has it, where there are others.
 *
 * Nothing is refused for good as long as an answer is missing that could say otherwise, nor where
 * it is a relay that can't be found.
 */
#ifndef REMOTE_TARGET_H
#define REMOTE_TARGET_H

#include "remote/answer.h"
#include "remote/report.h"
#include "remote/route.h"
#include "remote/settings.h"

#define TARGET_MAX 32

struct target {
	struct netip ip;
	unsigned port;
	unsigned preference;
	dns_name name;      /* of the relay or MX; empty for an address */
	dns_name canonical; /* the same behind its aliases */
	bool secure;        /* validated by the resolver, the aliases too */
};

struct targets {
	struct target items[TARGET_MAX];
	size_t count;
	/* Of the mail exchangers, or that there are none, which makes the host its own one. */
	bool secure;
	dns_name canonical; /* the host behind its aliases */
};

/* True with at least one target; false with a message report. */
bool targets_find(struct targets *targets, const char *host, const struct route *route,
    const struct settings *settings, long long end, struct report *report);

#endif
