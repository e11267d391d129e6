/*
 * What the destination itself asks for: DANE first, of the exchanger; where that has none, the
 * domain's MTA-STS policy, which must not weaken it (RFC 8461 section 2); else TLS where it is
 * offered. Only where this site's own control files leave it open (security.h).
 */
#ifndef REMOTE_POLICY_H
#define REMOTE_POLICY_H

#include "remote/dane.h"
#include "remote/job.h"
#include "remote/security.h"
#include "remote/sts.h"

struct policy {
	struct dane dane;
	struct sts sts;
	bool reported; /* what becomes of the session is of interest to the domain's reports */
};

#define POLICY_INIT                                                                                \
	{                                                                                          \
		.dane = DANE_INIT, .sts = STS_INIT, .reported = false                              \
	}

/*
 * Decides how target is to be spoken to. False with a message report: not at all, for now; another
 * one may be.
 */
bool policy_apply(struct policy *policy, struct security *security, const struct job *job,
    const struct targets *targets, const struct target *target, long long end);
/* Tells the service what has become of the session, as job->outcome has it. */
void policy_tell(const struct policy *policy, const struct job *job, const struct target *target);

#endif
