/*
 * Addresses in the suite's inner form: local@domain, the local part without quotes or
 * backslashes. Only what leaves the suite is quoted.
 */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H

#include "lib/str.h"

#define ADDR_MAX 900 /* longest address that is accepted, bytes */

/* Adds address to to, its local part quoted where RFC 5321 section 4.1.2 asks for it. */
void addr_quote(struct str *to, const struct str *address);

/*
 * Whether the text is one address and nothing else, as a line that people write should have it: no
 * blanks, commas, brackets or comments beside it, no empty part, not longer than ADDR_MAX. The
 * local part may be in quotes; the domain may be missing.
 */
bool addr_is_bare(const char *text);

/* The parts around the last @; domain is NULL where there is none. len is the local part's. */
void addr_split(const struct str *address, size_t *local_len, const char **domain);

/* Bytes that may not stand in a log or an SMTP line become '?'; at most max are kept. */
void add_printable(struct str *to, const char *bytes, size_t len, size_t max);

#endif
