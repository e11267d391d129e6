/* SMTP routes: see route.h. */
#include "remote/route.h"

#include "remote/bydomain.h"

#include <string.h>

/* "]", or the port behind it; bracketed addresses may leave the IPv6: tag away. */
static const char *
take_bracketed(struct route *route, const char *text)
{
	const char *close = strchr(text, ']');
	struct str whole = STR_INIT;

	if (!close)
		return NULL;
	str_set_bytes(&route->relay, text + 1, (size_t)(close - text - 1));
	str_set_bytes(&whole, text, (size_t)(close - text + 1));
	route->is_address =
	    netip_parse_literal(whole.s, &route->ip) || netip_parse(route->relay.s, &route->ip);
	str_free(&whole);
	return route->is_address ? close + 1 : NULL;
}

static const char *
take_name(struct route *route, const char *text)
{
	size_t len = strcspn(text, ":");

	str_set_bytes(&route->relay, text, len);
	route->is_address = netip_parse(route->relay.s, &route->ip);
	return text + len;
}

bool
route_parse(struct route *route, const char *text, unsigned default_port)
{
	unsigned long port = default_port;
	const char *rest;

	route->is_address = false;
	rest = *text == '[' ? take_bracketed(route, text) : take_name(route, text);
	if (!rest)
		return false;
	if (*rest && (*rest != ':' || !number_parse(rest + 1, 65535, &port) || !port))
		return false;
	route->port = (unsigned)port;
	route->explicit_relay = route->relay.len != 0;
	return true;
}

bool
route_find(struct route *route, const struct list *lines, const char *host, unsigned default_port,
    const char **line)
{
	const char *found = table_by_domain(lines, host);

	*line = found ? found : "";
	return route_parse(route, *line, default_port);
}
