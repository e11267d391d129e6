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

struct dns {
	ares_channel channel;
	long long end;
};

/* One question under way. */
struct question {
	enum answer result;
	bool v6;
	struct mx_list *mx;
	struct address_list *addresses;
};

static unsigned
any_number(void)
{
	unsigned number;

	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
		return (unsigned)clock_ms();
	return number;
}

struct dns *
dns_open(long long end)
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

static void
answered(void *context, int status, int timeouts, unsigned char *packet, int len)
{
	struct question *question = context;

	(void)timeouts;
	question->result = answer_status(status);
	if (question->result != ANSWER_FOUND)
		return;
	if (question->mx)
		question->result = answer_mx(packet, (size_t)len, question->mx, any_number);
	else
		question->result =
		    answer_addresses(packet, (size_t)len, question->v6, question->addresses);
}

enum answer
dns_mx(struct dns *dns, const char *name, struct mx_list *list)
{
	struct question question = {.result = ANSWER_LATER, .mx = list};

	list->count = 0;
	list->null_mx = false;
	ares_query(dns->channel, name, ns_c_in, ns_t_mx, answered, &question);
	await(dns);
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

void
dns_addresses(struct dns *dns, const char *const *names, size_t count, struct address_list *lists,
    enum answer *results)
{
	struct question questions[2][MX_MAX];
	struct address_list v4[MX_MAX];
	size_t i;

	for (i = 0; i < count; i++) {
		lists[i].count = v4[i].count = 0;
		questions[0][i] =
		    (struct question){.result = ANSWER_LATER, .v6 = true, .addresses = &lists[i]};
		questions[1][i] = (struct question){.result = ANSWER_LATER, .addresses = &v4[i]};
		ares_query(dns->channel, names[i], ns_c_in, ns_t_aaaa, answered, &questions[0][i]);
		ares_query(dns->channel, names[i], ns_c_in, ns_t_a, answered, &questions[1][i]);
	}
	await(dns);
	for (i = 0; i < count; i++) {
		memcpy(lists[i].items + lists[i].count, v4[i].items,
		    v4[i].count * sizeof *v4[i].items);
		lists[i].count += v4[i].count;
		results[i] = both(questions[0][i].result, questions[1][i].result);
	}
}
