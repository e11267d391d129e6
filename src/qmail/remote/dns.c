/* DNS questions: see dns.h. */
#include "remote/dns.h"

#include "lib/clock.h"
#include "lib/mem.h"
#include "remote/connection.h"

#define CARES_NO_DEPRECATED
#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#ifdef QMAIL_TESTABLE
enum { PATIENCE = 300, TRIES = 2 };
#else
enum { PATIENCE = 5000, TRIES = 3 }; /* milliseconds, doubled with each try */
#endif

#define HEADER_AD                                                                                  \
	0x20 /* in the fourth byte: RFC 6840 section 5.7, please say if it is validated            \
	      */

struct dns {
	ares_channel channel;
	long long end;
	bool believed;
};

/* One question under way. */
struct question {
	const struct dns *dns;
	enum answer result;
	const char *name;
	bool secure;
	dns_name canonical;
	bool v6;
	struct mx_list *mx;
	struct address_list *addresses;
	struct tlsa_list *tlsa;
	struct list *names;
};

static unsigned
any_number(void)
{
	unsigned number;

	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
		return (unsigned)clock_ms();
	return number;
}

bool
dns_server_parse(const char *line, struct netip *ip, unsigned *port)
{
	struct str address = STR_INIT;
	unsigned long number = NS_DEFAULTPORT;
	size_t close;
	bool fine;

	str_set(&address, line);
	if (str_starts(&address, "[")) {
		close = str_find(&address, ']');
		fine =
		    close < address.len &&
		    (close + 1 == address.len ||
			(line[close + 1] == ':' && number_parse(line + close + 2, 65535, &number)));
		str_set_bytes(&address, line + 1, fine ? close - 1 : 0);
	} else {
		fine = true;
	}
	fine = fine && number && netip_parse(address.s, ip) && !ip->scope;
	*port = (unsigned)number;
	str_free(&address);
	return fine;
}

static bool
is_loopback(const struct netip *ip)
{
	return netip_is_v4(ip) ? ip->a.s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(&ip->a);
}

bool
dns_believed(const struct list *servers)
{
	struct netip ip;
	unsigned port;
	size_t i;

	for (i = 0; i < servers->count; i++)
		if (!dns_server_parse(servers->items[i], &ip, &port) || !is_loopback(&ip))
			return false;
	return servers->count > 0;
}

static bool
use_servers(struct dns *dns, const struct list *servers)
{
	struct str all = STR_INIT;
	struct netip ip;
	unsigned port;
	bool done;
	size_t i;

	for (i = 0; i < servers->count; i++) {
		bool v4;

		if (!dns_server_parse(servers->items[i], &ip, &port))
			continue;
		v4 = netip_is_v4(&ip); /* only IPv6 has brackets here */
		str_add(&all, all.len ? "," : "");
		str_add(&all, v4 ? "" : "[");
		netip_add(&all, &ip);
		str_addf(&all, "%s:%u", v4 ? "" : "]", port);
	}
	done = ares_set_servers_ports_csv(dns->channel, all.s) == ARES_SUCCESS;
	str_free(&all);
	return done;
}

struct dns *
dns_open(const struct list *servers, long long end)
{
	struct ares_options options = {.timeout = PATIENCE, .tries = TRIES};
	struct dns *dns;

	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return NULL;
	dns = mem_array(1, sizeof *dns);
	dns->end = end;
	if (ares_init_options(&dns->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) !=
	    ARES_SUCCESS) {
		free(dns);
		ares_library_cleanup();
		return NULL;
	}
	dns->believed = dns_believed(servers);
	if (servers->count) {
		if (use_servers(dns, servers))
			return dns;
		dns_close(dns);
		return NULL;
	}
#ifdef QMAIL_TESTABLE
	if (getenv("QMAIL_TEST_RESOLVER"))
		ares_set_servers_ports_csv(dns->channel, getenv("QMAIL_TEST_RESOLVER"));
#endif
	return dns;
}

void
dns_close(struct dns *dns)
{
	ares_destroy(dns->channel);
	ares_library_cleanup();
	free(dns);
}

/* How long to wait for the next event: what c-ares asks for, within the limit. */
static int
patience(struct dns *dns)
{
	struct timeval most = {.tv_sec = 1}, next;
	const struct timeval *wait = ares_timeout(dns->channel, &most, &next);
	long long ms = wait->tv_sec * 1000LL + wait->tv_usec / 1000 + 1,
		  left = dns->end - clock_ms();

	if (left < 0)
		left = 0; /* poll would take it for "without end" */
	return (int)(ms < left ? ms : left);
}

static void
serve(struct dns *dns, const ares_socket_t *sockets, unsigned wanted)
{
	struct pollfd polls[ARES_GETSOCK_MAXNUM];
	nfds_t count = 0, i;

	for (i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
		short events = 0;

		/* Its macros for these bits shift a signed number too far. */
		if (wanted >> i & 1)
			events |= POLLIN;
		if (wanted >> (i + ARES_GETSOCK_MAXNUM) & 1)
			events |= POLLOUT;
		if (events)
			polls[count++] = (struct pollfd){.fd = sockets[i], .events = events};
	}
	if (poll(polls, count, patience(dns)) < 0 && errno != EINTR)
		return;
	for (i = 0; i < count; i++) {
		bool in = polls[i].revents & (POLLIN | POLLERR | POLLHUP);
		bool out = polls[i].revents & (POLLOUT | POLLERR | POLLHUP);

		if (in || out)
			ares_process_fd(dns->channel, in ? polls[i].fd : ARES_SOCKET_BAD,
			    out ? polls[i].fd : ARES_SOCKET_BAD);
	}
	ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* time-outs */
}

/* Until every question has its answer; past the end, those without one get LATER. */
static void
await(struct dns *dns)
{
	for (;;) {
		ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
		unsigned wanted =
		    (unsigned)ares_getsock(dns->channel, sockets, ARES_GETSOCK_MAXNUM);

		if (!wanted)
			return;
		if (clock_ms() >= dns->end) {
			ares_cancel(dns->channel);
			return;
		}
		serve(dns, sockets, wanted);
	}
}

static enum answer
read_answer(struct question *question, const unsigned char *packet, size_t len)
{
	if (question->mx)
		return answer_mx(packet, len, question->mx, any_number);
	if (question->addresses)
		return answer_addresses(packet, len, question->v6, question->addresses);
	if (question->tlsa)
		return answer_tlsa(packet, len, question->tlsa);
	if (question->names)
		return answer_names(packet, len, question->names);
	return ANSWER_FOUND;
}

static void
answered(void *context, int status, int timeouts, unsigned char *packet, int len)
{
	struct question *question = context;

	(void)timeouts;
	question->result = answer_status(status);
	if (question->result != ANSWER_FOUND)
		return;
	question->result = answer_header(packet, (size_t)len, &question->secure);
	answer_canonical(packet, (size_t)len, question->name, &question->canonical);
	question->secure = question->secure && question->dns->believed && *question->canonical;
	if (question->result == ANSWER_FOUND)
		question->result = read_answer(question, packet, (size_t)len);
}

/* Sends a question on its way. */
static void
ask(struct dns *dns, const char *name, int type, struct question *question)
{
	unsigned char *packet = NULL;
	int len = 0, status;

	question->dns = dns;
	question->name = name;
	question->result = ANSWER_LATER;
	question->secure = false;
	question->canonical[0] = 0;
	status = ares_create_query(
	    name, ns_c_in, type, (unsigned short)any_number(), 1, &packet, &len, 0);
	if (status != ARES_SUCCESS) {
		question->result = answer_status(status);
		return;
	}
	packet[3] |= HEADER_AD;
	ares_send(dns->channel, packet, len, answered, question);
	ares_free_string(packet);
}

enum answer
dns_mx(struct dns *dns, const char *name, struct mx_list *list)
{
	struct question question = {.mx = list};

	list->count = 0;
	list->null_mx = false;
	ask(dns, name, ns_t_mx, &question);
	await(dns);
	list->secure = question.secure;
	memcpy(list->canonical, question.canonical, sizeof list->canonical);
	return question.result;
}

/* Of two families: found beats all, a missing answer beats a no. */
static enum answer
both(enum answer a, enum answer b)
{
	if (a == ANSWER_FOUND || b == ANSWER_FOUND)
		return ANSWER_FOUND;
	if (a == ANSWER_LATER || b == ANSWER_LATER)
		return ANSWER_LATER;
	return a;
}

/* An answer that is missing makes nothing insecure: it gives no address. */
static bool
both_secure(const struct question *a, const struct question *b)
{
	return (a->secure || a->result == ANSWER_LATER) &&
	       (b->secure || b->result == ANSWER_LATER) && (a->secure || b->secure);
}

/* From both answers to one list, IPv6 first. */
static enum answer
join(const struct question *v6, const struct question *v4, struct address_list *list)
{
	const struct address_list *other = v4->addresses;
	const struct question *found = v6->result == ANSWER_FOUND ? v6 : v4;

	memcpy(list->items + list->count, other->items, other->count * sizeof *other->items);
	list->count += other->count;
	list->secure = both_secure(v6, v4);
	memcpy(list->canonical, found->canonical, sizeof list->canonical);
	return both(v6->result, v4->result);
}

void
dns_addresses(struct dns *dns, const char *const *names, size_t count, struct address_list *lists,
    enum answer *results)
{
	struct question(*questions)[2] = mem_array(MX_MAX, sizeof *questions);
	struct address_list *v4 = mem_array(MX_MAX, sizeof *v4);
	size_t i;

	for (i = 0; i < count; i++) {
		lists[i].count = v4[i].count = 0;
		questions[i][0] = (struct question){.v6 = true, .addresses = &lists[i]};
		questions[i][1] = (struct question){.addresses = &v4[i]};
		ask(dns, names[i], ns_t_aaaa, &questions[i][0]);
		ask(dns, names[i], ns_t_a, &questions[i][1]);
	}
	await(dns);
	for (i = 0; i < count; i++)
		results[i] = join(&questions[i][0], &questions[i][1], &lists[i]);
	free(questions);
	free(v4);
}

enum answer
dns_tlsa(struct dns *dns, unsigned port, const char *name, struct tlsa_list *list)
{
	struct question question = {.tlsa = list};
	struct str owner = STR_INIT;

	list->count = 0;
	str_addf(&owner, "_%u._tcp.%s", port, name);
	ask(dns, owner.s, ns_t_tlsa, &question);
	await(dns);
	list->secure = question.secure;
	str_free(&owner);
	return question.result;
}

enum answer
dns_alias(struct dns *dns, const char *name, bool *secure)
{
	struct question question = {.result = ANSWER_LATER};

	ask(dns, name, ns_t_cname, &question);
	await(dns);
	*secure = question.secure;
	return question.result;
}

/* 1.0.0...8.b.d.0.1.0.0.2.ip6.arpa: RFC 3596 section 2.5. */
static void
add_reverse(struct str *name, const struct netip *ip)
{
	size_t i;

	for (i = sizeof ip->a.s6_addr; i-- > 0;)
		str_addf(name, "%x.%x.", ip->a.s6_addr[i] & 0x0f, ip->a.s6_addr[i] >> 4);
	str_add(name, "ip6.arpa");
}

bool
dns_leads_back(struct dns *dns, const struct netip *ip)
{
	struct list names = LIST_INIT;
	struct question question = {.names = &names};
	struct str reverse = STR_INIT;
	bool found = false;
	size_t i, j;

	add_reverse(&reverse, ip);
	ask(dns, reverse.s, ns_t_ptr, &question);
	await(dns);
	list_index(&names);
	for (i = 0; i < names.count && !found; i++) {
		struct address_list list = {.count = 0};
		struct question back = {.v6 = true, .addresses = &list};

		ask(dns, names.items[i], ns_t_aaaa, &back);
		await(dns);
		for (j = 0; j < list.count; j++)
			found = found || netip_equal(&list.items[j], ip);
	}
	str_free(&reverse);
	list_free(&names);
	return found;
}
