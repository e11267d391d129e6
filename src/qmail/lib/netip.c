/* IP addresses: see netip.h. */
#include "lib/netip.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static void
set_v4(struct netip *ip, struct in_addr v4)
{
	*ip = (struct netip){0};
	ip->a.s6_addr[10] = ip->a.s6_addr[11] = 0xff;
	memcpy(ip->a.s6_addr + 12, &v4, 4);
}

bool
netip_parse(const char *text, struct netip *ip)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		set_v4(ip, v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return false;
	*ip = (struct netip){.a = v6};
	return true;
}

bool
netip_parse_literal(const char *text, struct netip *ip)
{
	char inner[INET6_ADDRSTRLEN];
	size_t len = strlen(text);
	bool v6;

	if (len < 3 || text[0] != '[' || text[len - 1] != ']')
		return false;
	text++;
	len -= 2;
	v6 = len > 5 && !strncasecmp(text, "IPv6:", 5);
	if (v6) {
		text += 5;
		len -= 5;
	}
	if (len >= sizeof inner)
		return false;
	memcpy(inner, text, len);
	inner[len] = 0;
	return (strchr(inner, ':') != NULL) == v6 && netip_parse(inner, ip);
}

bool
netip_is_v4(const struct netip *ip)
{
	return IN6_IS_ADDR_V4MAPPED(&ip->a);
}

void
netip_add(struct str *to, const struct netip *ip)
{
	char text[INET6_ADDRSTRLEN];

	if (netip_is_v4(ip))
		inet_ntop(AF_INET, ip->a.s6_addr + 12, text, sizeof text);
	else
		inet_ntop(AF_INET6, &ip->a, text, sizeof text);
	str_add(to, text);
}

bool
netip_equal(const struct netip *a, const struct netip *b)
{
	return !memcmp(&a->a, &b->a, sizeof a->a);
}

static bool
nobody_else(const struct netip *ip)
{
	static const unsigned char zero[4];

	if (netip_is_v4(ip))
		return ip->a.s6_addr[12] == 127 || !memcmp(ip->a.s6_addr + 12, zero, 4);
	return IN6_IS_ADDR_UNSPECIFIED(&ip->a) || IN6_IS_ADDR_LOOPBACK(&ip->a);
}

bool
netip_is_me(const struct netip *ip)
{
	struct ifaddrs *all, *one;
	bool found = nobody_else(ip);

	if (found || getifaddrs(&all) < 0)
		return found;
	for (one = all; one && !found; one = one->ifa_next) {
		struct netip mine;

		if (!one->ifa_addr)
			continue;
		if (one->ifa_addr->sa_family == AF_INET)
			set_v4(&mine,
			    ((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr);
		else if (one->ifa_addr->sa_family == AF_INET6)
			mine = (struct netip){
			    .a = ((const struct sockaddr_in6 *)(const void *)one->ifa_addr)
				     ->sin6_addr};
		else
			continue;
		found = netip_equal(&mine, ip);
	}
	freeifaddrs(all);
	return found;
}
