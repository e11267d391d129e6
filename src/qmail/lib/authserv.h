/*
 * Whose an Authentication-Results field is: a pure function over bytes.
 *
 * RFC 8601 section 5: a field that claims to be of this host, and isn't, must not get in. It is
 * read as mailauth/results.py reads it (src/mailauth), which looks at strangers' mail; the tests
 * compare the two.
 */
#ifndef LIB_AUTHSERV_H
#define LIB_AUTHSERV_H

#include <stdbool.h>
#include <stddef.h>

#define AUTHSERV_FIELD "authentication-results"
#define AUTHSERV_MAX 65536 /* bytes of a value that are looked at */

/*
 * Whether a lenient reader finds name, the host's own, in what stands behind the field's colon (its
 * folds included): in any case of letters, behind comments, in quotes, with a version or a dot. One
 * that names nobody, or has bytes beyond ASCII where its name stands, which are A-labels to some
 * (RFC 8616), can't be told from ours either.
 */
bool authserv_claims(const char *value, size_t len, const char *name);

#endif
