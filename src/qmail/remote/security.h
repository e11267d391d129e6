/*
 * How a server is to be spoken to: in the clear or by TLS, whom it must prove to be, and who
 * we are to it. Decided before a connection is made: by control files; where they leave it open, by
 * what the destination has published (policy.h).
 */
#ifndef REMOTE_SECURITY_H
#define REMOTE_SECURITY_H

#include "remote/dane.h"
#include "remote/settings.h"
#include "remote/target.h"

enum security_level {
	SECURITY_CLEAR,    /* notlshosts: STARTTLS is not used */
	SECURITY_OFFERED,  /* TLS where the server offers it, with whomever that is */
	SECURITY_REQUIRED, /* tlsrequiredhosts: TLS with whomever that is, or nothing */
	SECURITY_VERIFIED  /* TLS with a server that proves itself, or nothing */
};

/* How it proves itself. */
enum security_means {
	MEANS_NAMES, /* a certificate for one of the names, from an authority of tlsca.pem */
	MEANS_STS,   /* the same, from one of the system's: the domain's MTA-STS policy wants it */
	MEANS_DANE   /* TLSA records */
};

#define SUBMISSIONS_PORT 465 /* TLS from the first byte (RFC 8314 section 3) */

struct security {
	enum security_level level;
	enum security_means means;
	const struct dane *dane; /* with MEANS_DANE */
	bool sts_testing;        /* what MEANS_STS would say is to be told, and changes nothing */
	bool shows_certificate;  /* ours, to a relay that this site has chosen; else to nobody */
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

/*
 * Sets level, from_first_byte and names for a server that is tried for host, as control files have
 * it. True where that is the last word: a relay of smtproutes, or a name that one of the lists has.
 * False where the destination may ask for more: the level is what holds if it doesn't. A line of
 * tlsrequiredhosts for every destination is the least that holds, and not the last word.
 */
bool security_decide(struct security *security, const struct settings *settings, const char *host,
    const struct route *route, const struct target *target);

#endif
