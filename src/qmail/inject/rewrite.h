/*
 * Address lists in header fields, qmail-header(5): which addresses they have, and the text
 * with every host name made whole. Pure functions; one pass, no recursion; comments,
 * phrases and blanks stay as they were.
 */
#ifndef INJECT_REWRITE_H
#define INJECT_REWRITE_H

#include "lib/list.h"

struct rewrite_rules {
	struct str default_host;   /* for an address without one */
	struct str default_domain; /* added to a host without dots; empty: nothing is */
	struct str plus_domain;    /* replaces a plus sign at a host's end */
};

#define REWRITE_RULES_INIT                                                                         \
	{                                                                                          \
		STR_INIT, STR_INIT, STR_INIT                                                       \
	}

/*
 * Adds host, made whole: plus sign first, then the default domain, each at most once; localhost is
 * whole as it is (RFC 6761).
 */
void rewrite_host(struct str *to, const char *host, size_t len, const struct rewrite_rules *rules);

/*
 * Adds the rewritten list to text, and each address in the suite's inner form (addr.h) to
 * found; both may be NULL. Source routes are taken out; the empty address <> counts as
 * one, an empty item. False where it is no address list, or an address is longer than
 * ADDR_MAX; text and found then have a part of it.
 */
bool rewrite_list(struct str *text, struct list *found, const char *bytes, size_t len,
    const struct rewrite_rules *rules);

#endif
