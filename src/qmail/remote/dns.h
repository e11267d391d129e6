/*
 * Questions to the resolvers of /etc/resolv.conf, through c-ares. Names are absolute: no
 * search list applies. A truncated answer is asked for again over TCP. Programs built with
 * QMAIL_TESTABLE ask QMAIL_TEST_RESOLVER (address:port) instead, more impatiently.
 */
#ifndef REMOTE_DNS_H
#define REMOTE_DNS_H

#include "remote/answer.h"

struct dns;

/* Ready to ask; NULL where the resolver can't be set up. No answer is awaited past end, by
 * clock_ms() of clock.h. */
struct dns *dns_open(long long end);
void dns_close(struct dns *dns);

enum answer dns_mx(struct dns *dns, const char *name, struct mx_list *list);

/*
 * The addresses of count names, all asked for at the same time. Of each, the IPv6 addresses
 * come first. results[i]: FOUND with at least one address in lists[i]; LATER when none was
 * found and an answer was missing.
 */
void dns_addresses(struct dns *dns, const char *const *names, size_t count,
    struct address_list *lists, enum answer *results);

#endif
