/* The bundle, certificate and chain and key in one PEM file, and what a session is made with. */
#ifndef TLS_BUNDLE_H
#define TLS_BUNDLE_H

#include "lib/str.h"

#include <openssl/ssl.h>

struct bundle {
	const char *path; /* followed anew at each look: a rotation is one rename of a link */
	/* OpenSSL's lists; NULL is what the manual page says. */
	const char *ciphers; /* for TLS 1.2 */
	const char *suites;  /* for TLS 1.3 */
	const char *groups;  /* for the exchange of keys */
	int protocol;        /* the lowest: TLS1_3_VERSION; 0 is TLS 1.2 */
};

/* False: the name is neither TLSv1.2 nor TLSv1.3. */
bool bundle_protocol(struct bundle *bundle, const char *name);

/*
 * Sees whether the file is another than the last time, and loads it then. The last one that was
 * whole stays in use where the new one is not, and error says why, once for each file; it is empty
 * otherwise. True: it was loaded.
 */
bool bundle_look(const struct bundle *bundle, struct str *error);

/* NULL while there was none that could be loaded. */
SSL_CTX *bundle_context(void);

/* The first error that OpenSSL has noted, as text. */
const char *bundle_reason(void);

#endif
