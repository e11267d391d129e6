/*
 * MTA-STS (RFC 8461) as the service `policy` knows it, and what it is told for the reports of
 * RFC 8460. It fetches policies and keeps them; here one is asked for and obeyed.
 *
 * The talk, a connection each on a SOCK_SEQPACKET socket of AF_UNIX, one packet each way:
 *
 *	policy DOMAIN LF            what holds for mail to DOMAIN?
 *	none LF                     nothing
 *	testing ID SECONDS LF       a policy and the seconds for which it holds, then a line each of
 *	enforce ID SECONDS LF       its mx: a name, or "*." and a name
 *	Z WHY LF                    it can't be said now
 *
 *	result DOMAIN LF            what became of a session; there is no answer
 *	policy tlsa|sts|none LF
 *	outcome success LF          or: failure REASON
 *	mx NAME LF  ip ADDRESS LF   (each a line; in this order)
 *	from ADDRESS LF             of this host, where there was a connection
 *	tlsa USAGE SELECTOR MATCHING HEX LF ...
 *
 * Names are as the DNS has them, REASON is one line of printable ASCII.
 */
#ifndef REMOTE_STS_H
#define REMOTE_STS_H

#include "lib/list.h"

#define STS_PACKET_MAX 65536
#define STS_ID_MAX 32 /* RFC 8461 section 3.1 */

enum sts_mode { STS_UNASKED, STS_NONE, STS_TESTING, STS_ENFORCE, STS_LATER };

struct sts {
	enum sts_mode mode;
	struct list mx; /* indexed */
	struct str why; /* with LATER; printable */
};

#define STS_INIT                                                                                   \
	{                                                                                          \
		.mode = STS_UNASKED, .mx = LIST_INIT, .why = STR_INIT                              \
	}

/* Reads an answer; one that can't be understood is LATER. A pure function. */
void sts_parse(struct sts *sts, const char *bytes, size_t len);
/* Whether the policy names this mail exchanger (section 4.1): as it is, or by "*." and all behind
 * its first label. */
bool sts_names(const struct sts *sts, const char *mx);

/* Asks the service at path, unless that was done. A service that is not there is waited for. */
void sts_ask(struct sts *sts, const char *path, const char *domain, long long end);
/* Tells it, without waiting for anything. */
void sts_tell(const char *path, const struct str *result);

#endif
