/*
 * How a server is to be spoken to: in the clear or by TLS, whom it must prove to be, and who
 * we are to it. Decided from control files before a connection is made.
 */
#ifndef REMOTE_SECURITY_H
#define REMOTE_SECURITY_H

#include "remote/settings.h"
#include "remote/target.h"

enum security_level {
	SECURITY_CLEAR,    /* notlshosts: STARTTLS is not used */
	SECURITY_OFFERED,  /* TLS where the server offers it, with whomever that is */
	SECURITY_REQUIRED, /* tlsrequiredhosts: TLS with whomever that is, or nothing */
	SECURITY_VERIFIED  /* TLS with a server that proves its name, or nothing */
};

#define SUBMISSIONS_PORT 465 /* TLS from the first byte (RFC 8314 section 3) */

struct security {
	enum security_level level;
	bool from_first_byte;
	struct list names; /* what a verified certificate must show one of; indexed */
	struct str user, password;
	bool authenticate; /* only ever with SECURITY_VERIFIED */
};

#define SECURITY_INIT                                                                              \
	{                                                                                          \
		.names = LIST_INIT, .user = STR_INIT, .password = STR_INIT                         \
	}

/*
 * Reads what control/smtproutes_auth has for the relay of a route; nothing for one without.
 * False with a sentence in problem for a file that is open to others or can't be understood.
 */
bool security_credentials(
    struct security *security, const struct route *route, struct str *problem);

/* Sets level, from_first_byte and names for a server that is tried for host. */
void security_decide(struct security *security, const struct settings *settings, const char *host,
    const struct route *route, const struct target *target);

#endif
