/*
 * control/smtproutes: which host receives the mail for a domain.
 *
 * A line is DOMAIN:RELAY or DOMAIN:RELAY:PORT.
 *  - DOMAIN is a host name; or ".name", which stands for every name that ends so; or empty:
 *    everything. The exact name counts first, then the longest ending, then the empty one.
 *  - RELAY is a host name, of which the addresses are used (not its MX records); or an IPv4
 *    address; or an address in brackets: [192.0.2.1], [2001:db8::1] or [IPv6:2001:db8::1].
 *    An empty RELAY means: by MX, as without a route; a PORT behind it holds for the MX.
 *  - PORT is 1 to 65535, 25 where it is missing.
 */
#ifndef REMOTE_ROUTE_H
#define REMOTE_ROUTE_H

#include "lib/list.h"
#include "lib/netip.h"

struct route {
	bool explicit_relay; /* false: by MX */
	bool is_address;     /* relay is the address ip, else the name relay */
	struct str relay;    /* as written, without brackets */
	struct netip ip;
	unsigned port;
};

#define ROUTE_INIT                                                                                 \
	{                                                                                          \
		.relay = STR_INIT                                                                  \
	}

/* "RELAY" or "RELAY:PORT", as behind the first colon of a line. False when it is neither. */
bool route_parse(struct route *route, const char *text, unsigned default_port);
/*
 * The route for host from a sorted list of lines; without one, by MX at default_port. False
 * for a line that can't be understood; *line is then what stands behind its first colon.
 */
bool route_find(struct route *route, const struct list *lines, const char *host,
    unsigned default_port, const char **line);

#endif
