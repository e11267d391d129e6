/* The addresses to try: see target.h. */
#include "remote/target.h"

#include "lib/addr.h"
#include "lib/control.h"
#include "lib/idn.h"
#include "lib/mem.h"
#include "remote/bydomain.h"
#include "remote/dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct search {
	struct targets *targets;
	const struct route *route;
	const struct settings *settings;
	struct report *report;
	struct str shown; /* the host, printable */
	struct str relay; /* its name as the DNS has it */
	unsigned missing; /* the best preference with an answer missing, or NONE_MISSING */
};

#define NONE_MISSING (~0U)
#define PORT_DISCARD 9 /* any would do */

/* The new target, or NULL for one that is there already, or is too many. */
static struct target *
add(struct search *search, const struct netip *ip, unsigned preference, const char *name)
{
	struct targets *targets = search->targets;
	struct target *target;
	size_t i;

	for (i = 0; i < targets->count; i++)
		if (netip_equal(&targets->items[i].ip, ip))
			return NULL;
	if (targets->count == TARGET_MAX)
		return NULL;
	target = &targets->items[targets->count++];
	*target = (struct target){.ip = *ip, .port = search->route->port, .preference = preference};
	snprintf(target->name, sizeof target->name, "%s", name);
	return target;
}

static void
say_later(struct search *search)
{
	report_message(search->report, MESSAGE_LATER,
	    "DNS gave no answer about %s; it will be asked again. (#4.4.3)\n", search->shown.s);
}

/* That a relay can't be found says nothing about the recipient: it is for this site to mend. */
static void
say_no_relay(struct search *search)
{
	report_message(search->report, MESSAGE_LATER,
	    "control/smtproutes: the relay %s has no address in the DNS. (#4.4.3)\n",
	    search->shown.s);
}

static void
say_no_host(struct search *search)
{
	if (search->route->explicit_relay) {
		say_no_relay(search);
		return;
	}
	report_message(search->report, MESSAGE_REFUSED,
	    "Sorry, I couldn't find any host named %s. (#5.1.2)\n", search->shown.s);
}

static void
say_no_address(struct search *search)
{
	if (search->route->explicit_relay) {
		say_no_relay(search);
		return;
	}
	report_message(search->report, MESSAGE_REFUSED,
	    "Sorry, I couldn't find a mail exchanger or IP address for %s. (#5.4.4)\n",
	    search->shown.s);
}

static void
add_found(struct search *search, const struct mx *mx, const struct address_list *found)
{
	size_t i;

	for (i = 0; i < found->count; i++) {
		struct target *target = add(search, &found->items[i], mx->preference, mx->name);

		if (!target)
			continue;
		target->secure = found->secure;
		memcpy(target->canonical, found->canonical, sizeof target->canonical);
	}
}

static void
add_addresses(struct search *search, struct dns *dns, const struct mx_list *list)
{
	struct address_list *found = mem_array(MX_MAX, sizeof *found);
	enum answer results[MX_MAX];
	const char *names[MX_MAX];
	size_t i;

	for (i = 0; i < list->count; i++)
		names[i] = list->items[i].name;
	dns_addresses(dns, names, list->count, found, results);
	for (i = 0; i < list->count; i++) {
		if (results[i] == ANSWER_LATER && list->items[i].preference < search->missing)
			search->missing = list->items[i].preference;
		add_found(search, &list->items[i], &found[i]);
	}
	free(found);
}

/* As if host were its own mail exchanger: RFC 5321 section 5.1. */
static void
set_implicit(struct mx_list *list, const char *host)
{
	list->count = 1;
	list->null_mx = false;
	list->items[0].preference = 0;
	snprintf(list->items[0].name, sizeof list->items[0].name, "%s", host);
}

static bool
look_up_mx(struct search *search, struct dns *dns, const char *host, struct mx_list *list)
{
	switch (dns_mx(dns, host, list)) {
	case ANSWER_FOUND: break;
	case ANSWER_NOTHING: set_implicit(list, host); break;
	case ANSWER_NO_NAME: say_no_host(search); return false;
	case ANSWER_LATER: say_later(search); return false;
	}
	if (list->null_mx) {
		report_message(search->report, MESSAGE_REFUSED,
		    "%s says that it accepts no mail (null MX). (#5.1.10)\n", search->shown.s);
		return false;
	}
	search->targets->secure = list->secure;
	memcpy(search->targets->canonical, list->canonical, sizeof list->canonical);
	return true;
}

/* Whether qmail-smtpd takes mail for the host, so that a refusal would go to a stranger. */
static bool
is_accepted_here(const char *host)
{
	struct list hosts = LIST_INIT;
	bool found = control_list("rcpthosts", &hosts) == CONTROL_OK;

	if (found) {
		idn_keys(&hosts);
		list_sort(&hosts);
		found = list_by_domain(&hosts, host);
	}
	list_free(&hosts);
	return found;
}

static void
say_me(struct search *search)
{
	if (is_accepted_here(search->shown.s)) {
		report_message(search->report, MESSAGE_LATER,
		    "%s is in control/rcpthosts, but neither in locals nor in virtualdomains,\n"
		    "and no mail exchanger is better than this host: its mail has nowhere to go. "
		    "(#4.3.5)\n",
		    search->shown.s);
		return;
	}
	report_message(search->report, MESSAGE_REFUSED,
	    "Sorry. I am listed as the best mail exchanger for %s,\n"
	    "but it isn't in my control/locals or control/virtualdomains file,\n"
	    "so I don't treat it as local. (#5.4.6)\n",
	    search->shown.s);
}

/* Keeps what is better than this host itself. False where nothing is left. */
static bool
leave_out_me(struct search *search)
{
	struct targets *targets = search->targets;
	unsigned limit = ~0U;
	size_t i, kept = 0;

	for (i = 0; i < targets->count; i++) {
		const struct target *target = &targets->items[i];

		if (target->preference < limit && netip_is_me(&target->ip))
			limit = target->preference;
	}
	for (i = 0; i < targets->count; i++)
		if (targets->items[i].preference < limit)
			targets->items[kept++] = targets->items[i];
	targets->count = kept;
	if (kept)
		return true;
	if (search->missing < limit) { /* somebody better than this host, for all we know */
		say_later(search);
		return false;
	}
	say_me(search);
	return false;
}

/* The address that this host would send from: no packet is sent to find it. */
static bool
own_address(const struct settings *settings, const struct netip *to, struct netip *own)
{
	struct sockaddr_in6 address = {
	    .sin6_family = AF_INET6, .sin6_port = htons(PORT_DISCARD), .sin6_addr = to->a};
	socklen_t len = sizeof address;
	bool found;
	int fd;

	if (settings->has_from[1]) {
		*own = settings->from[1];
		return true;
	}
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	found = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
		getsockname(fd, (struct sockaddr *)&address, &len) == 0;
	if (fd >= 0)
		close(fd);
	*own = (struct netip){.a = address.sin6_addr};
	return found;
}

static bool
may_use_ipv6(struct search *search, struct dns *dns, const struct netip *to)
{
	struct netip own;

	switch (search->settings->outgoingipv6) {
	case IPV6_NO: return false;
	case IPV6_YES: return true;
	case IPV6_AUTO: break;
	}
	return own_address(search->settings, to, &own) && dns_leads_back(dns, &own);
}

/* Big receivers refuse what comes from an IPv6 address without a name of its own; by IPv4 they
 * would take it. Where there is nothing else, it is tried. */
static void
leave_out_ipv6(struct search *search, struct dns *dns)
{
	struct targets *targets = search->targets;
	const struct target *first = NULL;
	size_t i, kept = 0, v4 = 0;

	for (i = 0; i < targets->count; i++) {
		if (netip_is_v4(&targets->items[i].ip))
			v4++;
		else if (!first)
			first = &targets->items[i];
	}
	if (!v4 || !first || may_use_ipv6(search, dns, &first->ip))
		return;
	for (i = 0; i < targets->count; i++)
		if (netip_is_v4(&targets->items[i].ip))
			targets->items[kept++] = targets->items[i];
	targets->count = kept;
}

static bool
by_name(struct search *search, const char *name, bool mx, long long end)
{
	struct dns *dns = dns_open(&search->settings->nameservers, end);
	struct mx_list list;
	bool listed = true;

	if (!dns) {
		say_later(search);
		return false;
	}
	if (mx)
		listed = look_up_mx(search, dns, name, &list);
	else
		set_implicit(&list, name);
	if (listed) {
		add_addresses(search, dns, &list);
		leave_out_ipv6(search, dns);
	}
	dns_close(dns);
	if (!listed)
		return false;
	if (search->targets->count)
		return true;
	if (search->missing != NONE_MISSING)
		say_later(search);
	else
		say_no_address(search);
	return false;
}

static bool
find(struct search *search, const char *host, long long end)
{
	const struct route *route = search->route;
	struct netip ip;
	size_t len;

	if (route->explicit_relay && route->is_address) {
		add(search, &route->ip, 0, "");
		return true;
	}
	if (!route->explicit_relay && netip_parse_literal(host, &ip)) {
		add(search, &ip, 0, "");
		return leave_out_me(search);
	}
	if (route->explicit_relay) {
		if (idn_to_ascii(&search->relay, route->relay.s) != IDN_OK)
			str_clear(&search->relay);
		host = search->relay.s;
		str_clear(&search->shown);
		add_printable(&search->shown, route->relay.s, route->relay.len, HOST_NAME_MAX_DNS);
	}
	len = strlen(host);
	if (!len || len > HOST_NAME_MAX_DNS || *host == '[') {
		say_no_host(search);
		return false;
	}
	return by_name(search, host, !route->explicit_relay, end) &&
	       (route->explicit_relay || leave_out_me(search));
}

bool
targets_find(struct targets *targets, const char *host, const struct route *route,
    const struct settings *settings, long long end, struct report *report)
{
	struct search search = {.targets = targets,
	    .route = route,
	    .settings = settings,
	    .report = report,
	    .missing = NONE_MISSING};
	bool found;

	targets->count = 0;
	targets->secure = false;
	targets->canonical[0] = 0;
	search.shown = search.relay = (struct str)STR_INIT;
	add_printable(&search.shown, host, strlen(host), HOST_NAME_MAX_DNS);
	found = find(&search, host, end);
	str_free(&search.shown);
	str_free(&search.relay);
	return found;
}
