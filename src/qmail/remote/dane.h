/*
 * DANE for SMTP (RFC 7672): whether a mail exchanger proves itself by TLSA records, and which.
 *
 * It does where the mail exchangers of the host, the exchanger's addresses and the records are all
 * validated (dns.h says by whom): no part of that can have been put there by somebody else. Where
 * the exchanger is an alias, the records of where it leads go first, then its own (section 2.2.3).
 *
 * The means of an answer that is missing is LATER: who could hold it back could hold the protection
 * back with it, so such an exchanger is left alone for now (section 2.2).
 */
#ifndef REMOTE_DANE_H
#define REMOTE_DANE_H

#include "remote/settings.h"
#include "remote/target.h"

enum dane_state {
	DANE_NONE,     /* nothing obliges: another means, if any */
	DANE_UNUSABLE, /* there are records, none of which is of use: TLS, with whomever (2.2) */
	DANE_BINDS,    /* by the records, or not at all */
	DANE_LATER
};

struct dane {
	enum dane_state state;
	dns_name base;     /* whose records they are: the name to ask the server for (8.1) */
	struct list names; /* what a certificate of usage DANE-TA may show; base first; indexed */
	struct tlsa_list tlsa; /* those of use, where state is BINDS */
	dns_name asked;        /* the exchanger that all of this is about; "": none yet */
};

#define DANE_INIT                                                                                  \
	{                                                                                          \
		.state = DANE_NONE, .names = LIST_INIT, .tlsa = TLSA_LIST_INIT                     \
	}

/* Looks up what holds for a target of host; for the next address of one exchanger it is remembered.
 */
void dane_find(struct dane *dane, const struct settings *settings, const char *host,
    const struct targets *targets, const struct target *target, long long end);

/* Keeps the records that are of use: DANE-TA(2) and DANE-EE(3) of a whole certificate or its key,
 * as it is or as a SHA-256 or SHA-512 digest (section 3.1). PKIX-TA and PKIX-EE are not (3.1.3). */
void dane_keep_usable(struct tlsa_list *list);

#endif
