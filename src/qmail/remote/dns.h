/*
 * Questions to resolvers, through c-ares. Names are absolute: no search list applies. A truncated
 * answer is asked for again over TCP.
 *
 * The resolvers are those of control/nameservers, where that is there, and then, if each of them is
 * an address of the loopback network, they are believed when they say that an answer is validated
 * (RFC 4035 section 4.9.3: the way to them is safe, and the operator has named them). Else they are
 * those of /etc/resolv.conf, and nothing is secure. Programs built with QMAIL_TESTABLE ask
 * QMAIL_TEST_RESOLVER (address:port) instead of these, all of them more impatiently.
 */
#ifndef REMOTE_DNS_H
#define REMOTE_DNS_H

#include "remote/answer.h"

struct dns;

/* Whether this is a line of control/nameservers: an address, or [ADDRESS]:PORT. */
bool dns_server_parse(const char *line, struct netip *ip, unsigned *port);
/* Whether what these resolvers (indexed, perhaps none) have validated is believed. */
bool dns_believed(const struct list *servers);

/* Ready to ask; NULL where the resolver can't be set up. No answer is awaited past end, by
 * clock_ms() of clock.h. */
struct dns *dns_open(const struct list *servers, long long end);
void dns_close(struct dns *dns);

enum answer dns_mx(struct dns *dns, const char *name, struct mx_list *list);

/*
 * The addresses of count names, all asked for at the same time. Of each, the IPv6 addresses
 * come first. results[i]: FOUND with at least one address in lists[i]; LATER when none was
 * found and an answer was missing.
 */
void dns_addresses(struct dns *dns, const char *const *names, size_t count,
    struct address_list *lists, enum answer *results);

/* The TLSA records of _PORT._tcp.NAME; the name can be too long for that, which is NO_NAME. */
enum answer dns_tlsa(struct dns *dns, unsigned port, const char *name, struct tlsa_list *list);
/* Whether the name is an alias, and *secure that this is validated. */
enum answer dns_alias(struct dns *dns, const char *name, bool *secure);
/* Whether one of the names that an IPv6 address has leads back to it. */
bool dns_leads_back(struct dns *dns, const struct netip *ip);

#endif
