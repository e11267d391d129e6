/* What the DNS says of a client: see lookup.h. */
#include "smtpd/lookup.h"

#include "lib/bio.h"
#include "lib/clock.h"
#include "lib/control.h"
#include "lib/netip.h"
#include "smtpd/dnspacket.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVERS_MAX 3
#define ROUNDS 2
#define PATIENCE 2000 /* milliseconds for one server's answer */
#define NAMES_MAX 4   /* of an address, that are looked up */
#define PORT 53
#define RESOLV_CONF "/etc/resolv.conf"

struct servers {
	struct sockaddr_in6 at[SERVERS_MAX];
	size_t count;
};

/* ADDRESS or [ADDRESS]:PORT. */
static void
add_server(struct servers *servers, const char *text)
{
	struct sockaddr_in6 *at = &servers->at[servers->count];
	struct str address = STR_INIT;
	const char *end = strchr(text, ']');
	unsigned long port = PORT;
	struct netip ip;

	if (servers->count == SERVERS_MAX)
		return;
	if (text[0] == '[' && end)
		str_set_bytes(&address, text + 1, (size_t)(end - text) - 1);
	else
		str_set(&address, text);
	if (text[0] == '[' && end && end[1] == ':' && !number_parse(end + 2, 65535, &port))
		port = 0;
	if (port && netip_parse(address.s, &ip)) {
		*at = (struct sockaddr_in6){.sin6_family = AF_INET6,
		    .sin6_addr = ip.a,
		    .sin6_scope_id = ip.scope,
		    .sin6_port = htons((uint16_t)port)};
		servers->count++;
	}
	str_free(&address);
}

static void
read_resolv_conf(struct servers *servers)
{
	static const char word[] = "nameserver";
	struct list lines = LIST_INIT;
	size_t i;

	if (file_list(RESOLV_CONF, &lines) == CONTROL_OK)
		list_index(&lines);
	for (i = 0; lines.items && i < lines.count; i++) {
		const char *line = lines.items[i];

		if (!strncmp(line, word, sizeof word - 1) && strchr(" \t", line[sizeof word - 1]))
			add_server(servers,
			    line + sizeof word - 1 + strspn(line + sizeof word - 1, " \t"));
	}
	list_free(&lines);
}

static void
find_servers(struct servers *servers)
{
	struct list own = LIST_INIT;
	size_t i;

	servers->count = 0;
	if (control_list("nameservers", &own) == CONTROL_OK) {
		list_index(&own);
		for (i = 0; i < own.count; i++)
			add_server(servers, own.items[i]);
	} else
		read_resolv_conf(servers);
	list_free(&own);
	if (!servers->count)
		add_server(servers, "127.0.0.1");
}

/* Of IPv4, too: such a socket speaks both. */
static int
open_socket(const struct sockaddr_in6 *server)
{
	const struct netip ip = {.a = server->sin6_addr};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = server->sin6_port};
	const bool is_four = netip_is_v4(&ip);
	int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(&four.sin_addr, server->sin6_addr.s6_addr + 12, sizeof four.sin_addr);
	if (fd >= 0 && connect(fd, is_four ? (const void *)&four : (const void *)server,
			   is_four ? sizeof four : sizeof *server) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Until its answer has come, or it is too late: what isn't its answer is passed over. */
static enum dnspacket
ask_server(
    const struct sockaddr_in6 *server, const struct str *query, long long until, struct list *items)
{
	enum dnspacket outcome = DNSPACKET_OTHER;
	char packet[DNSPACKET_MAX];
	int fd = open_socket(server);

	if (fd < 0)
		return DNSPACKET_FAILED;
	if (send(fd, query->s, query->len, MSG_NOSIGNAL) < 0)
		outcome = DNSPACKET_FAILED;
	while (outcome == DNSPACKET_OTHER) {
		ssize_t got;

		if (fd_wait_until(fd, POLLIN, until) < 0) {
			outcome = DNSPACKET_FAILED;
			break;
		}
		got = recv(fd, packet, sizeof packet, 0);
		if (got >= 0)
			outcome = dnspacket_answer(query, packet, (size_t)got, items);
		else if (errno != EINTR && errno != EAGAIN)
			outcome = DNSPACKET_FAILED;
	}
	close(fd);
	return outcome;
}

static enum lookup
ask(const struct servers *servers, const char *name, uint16_t kind, long long end,
    struct list *items)
{
	struct str query = STR_INIT;
	enum dnspacket outcome = DNSPACKET_FAILED;
	uint16_t id;
	size_t i;

	if (getrandom(&id, sizeof id, 0) != sizeof id)
		return LOOKUP_UNKNOWN;
	if (!dnspacket_query(&query, id, name, kind)) {
		str_free(&query);
		return LOOKUP_NO;
	}
	for (i = 0; i < servers->count * ROUNDS && outcome == DNSPACKET_FAILED; i++) {
		long long until = clock_ms() + PATIENCE;

		if (clock_ms() >= end)
			break;
		outcome = ask_server(
		    &servers->at[i % servers->count], &query, until < end ? until : end, items);
	}
	str_free(&query);
	if (outcome == DNSPACKET_SOME)
		return LOOKUP_YES;
	return outcome == DNSPACKET_NONE ? LOOKUP_NO : LOOKUP_UNKNOWN;
}

enum lookup
lookup_host(const char *name)
{
	static const uint16_t kinds[] = {DNS_A, DNS_AAAA, DNS_MX};
	const long long end = clock_after(LOOKUP_SECONDS);
	enum lookup found = LOOKUP_NO;
	struct list items = LIST_INIT;
	struct servers servers;
	size_t i;

	find_servers(&servers);
	for (i = 0; i < sizeof kinds / sizeof *kinds && found != LOOKUP_YES; i++) {
		const enum lookup one = ask(&servers, name, kinds[i], end, &items);

		if (one != LOOKUP_NO)
			found = one;
	}
	list_free(&items);
	return found;
}

/* 4.3.2.1.in-addr.arpa, or 32 digits and ip6.arpa. */
static void
reverse_name(struct str *to, const struct netip *ip)
{
	const unsigned char *bytes = ip->a.s6_addr;
	int i;

	if (netip_is_v4(ip)) {
		str_addf(
		    to, "%u.%u.%u.%u.in-addr.arpa", bytes[15], bytes[14], bytes[13], bytes[12]);
		return;
	}
	for (i = 15; i >= 0; i--)
		str_addf(to, "%x.%x.", bytes[i] & 15U, bytes[i] >> 4U);
	str_add(to, "ip6.arpa");
}

/* Whether the name has the address. */
static enum lookup
leads_back(const struct servers *servers, const char *name, const struct netip *ip, long long end)
{
	struct list addresses = LIST_INIT;
	struct str wanted = STR_INIT;
	enum lookup found = ask(servers, name, netip_is_v4(ip) ? DNS_A : DNS_AAAA, end, &addresses);

	netip_add(&wanted, ip);
	list_sort(&addresses);
	if (found == LOOKUP_YES && !list_find(&addresses, wanted.s))
		found = LOOKUP_NO;
	str_free(&wanted);
	list_free(&addresses);
	return found;
}

static enum lookup
find_name(const struct servers *servers, const struct netip *ip, long long end, struct str *name)
{
	struct str reversed = STR_INIT;
	struct list names = LIST_INIT;
	enum lookup found, one;
	size_t i;

	reverse_name(&reversed, ip);
	found = ask(servers, reversed.s, DNS_PTR, end, &names);
	str_free(&reversed);
	list_index(&names);
	if (found == LOOKUP_YES) {
		found = LOOKUP_NO;
		for (i = 0; i < names.count && i < NAMES_MAX && found != LOOKUP_YES; i++) {
			one = leads_back(servers, names.items[i], ip, end);
			if (one != LOOKUP_NO)
				found = one;
			if (one == LOOKUP_YES)
				str_set(name, names.items[i]);
		}
	}
	list_free(&names);
	return found;
}

enum lookup
lookup_reverse(const char *ip, struct str *name)
{
	struct servers servers;
	struct netip address;

	if (!netip_parse(ip, &address))
		return LOOKUP_UNKNOWN;
	find_servers(&servers);
	return find_name(&servers, &address, clock_after(LOOKUP_SECONDS), name);
}
