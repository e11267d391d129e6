/* What the destination asks for: see policy.h. */
#include "remote/policy.h"

static void
add_record(struct str *result, const struct tlsa_list *tlsa, const struct tlsa *record)
{
	size_t i;

	str_addf(result, "tlsa %u %u %u ", record->usage, record->selector, record->matching);
	for (i = 0; i < record->len; i++)
		str_addf(result, "%02x", (unsigned char)tlsa->data.s[record->at + i]);
	str_add_char(result, '\n');
}

void
policy_tell(const struct policy *policy, const struct job *job, const struct target *target)
{
	bool dane = policy->dane.state == DANE_BINDS || policy->dane.state == DANE_LATER;
	bool sts = policy->sts.mode == STS_TESTING || policy->sts.mode == STS_ENFORCE;
	struct str result = STR_INIT;
	size_t i;

	if (!policy->reported || job->outcome->state == OUTCOME_UNKNOWN)
		return;
	str_addf(&result, "result %s\npolicy %s\noutcome %s%s\n", job->host,
	    dane  ? "tlsa"
	    : sts ? "sts"
		  : "none",
	    job->outcome->state == OUTCOME_ENCRYPTED ? "success" : "failure ",
	    job->outcome->state == OUTCOME_ENCRYPTED ? "" : job->outcome->why.s);
	str_addf(&result, "mx %s\nip ", target->name);
	netip_add(&result, &target->ip);
	str_add_char(&result, '\n');
	if (job->outcome->connected) {
		str_add(&result, "from ");
		netip_add(&result, &job->outcome->from);
		str_add_char(&result, '\n');
	}
	for (i = 0; policy->dane.state == DANE_BINDS && i < policy->dane.tlsa.count; i++)
		add_record(&result, &policy->dane.tlsa, &policy->dane.tlsa.items[i]);
	sts_tell(job->settings->policysocket.s, &result);
	str_free(&result);
}

/* Not to be spoken to. */
static bool
leave(const struct job *job, const struct target *target, const char *why)
{
	struct str address = STR_INIT;

	netip_add(&address, &target->ip);
	report_message(job->report, MESSAGE_LATER, "%s (%s) %s\n", address.s, target->name, why);
	str_free(&address);
	return false;
}

static bool
by_dane(struct policy *policy, struct security *security, const struct job *job,
    const struct target *target, bool *decided)
{
	struct str why = STR_INIT;
	bool may = true;

	*decided = policy->dane.state != DANE_NONE;
	switch (policy->dane.state) {
	case DANE_NONE: break;
	case DANE_UNUSABLE: security->level = SECURITY_REQUIRED; break;
	case DANE_BINDS:
		security->level = SECURITY_VERIFIED;
		security->means = MEANS_DANE;
		security->dane = &policy->dane;
		break;
	case DANE_LATER:
		outcome_failed(job->outcome, "dnssec-invalid: no valid answer for TLSA");
		str_addf(&why,
		    "is left alone for now: the DNS gives no valid answer about the TLSA records "
		    "of _%u._tcp.%s. (#4.7.5)",
		    target->port, policy->dane.base);
		may = leave(job, target, why.s);
	}
	str_free(&why);
	return may;
}

static bool
by_sts(struct policy *policy, struct security *security, const struct job *job,
    const struct target *target)
{
	struct sts *sts = &policy->sts;
	struct str why = STR_INIT;
	bool named;

	switch (sts->mode) {
	case STS_UNASKED:
	case STS_NONE: return true;
	case STS_LATER:
		str_addf(&why,
		    "is left alone for now: the service that knows its MTA-STS policy says: %s. "
		    "(#4.3.0)",
		    sts->why.s);
		leave(job, target, why.s);
		str_free(&why);
		return false;
	case STS_TESTING:
	case STS_ENFORCE: break;
	}
	named = sts_names(sts, target->name);
	if (!named)
		outcome_failed(job->outcome, "not one of the policy's mx");
	if (sts->mode == STS_TESTING) {
		security->sts_testing = true;
		return true;
	}
	if (!named)
		return leave(job, target,
		    "is left alone: the domain's MTA-STS policy does not name it. (#4.7.5)");
	security->level = SECURITY_VERIFIED;
	security->means = MEANS_STS;
	list_add(&security->names, target->name);
	list_index(&security->names);
	return true;
}

bool
policy_apply(struct policy *policy, struct security *security, const struct job *job,
    const struct targets *targets, const struct target *target, long long end)
{
	bool decided, may;

	outcome_clear(job->outcome);
	policy->reported = false;
	if (security_decide(security, job->settings, job->host, job->route, target))
		return true;
	if (!*target->name)
		return true;
	policy->reported = true;
	dane_find(&policy->dane, job->settings, job->host, targets, target, end);
	may = by_dane(policy, security, job, target, &decided);
	if (decided)
		return may;
	sts_ask(&policy->sts, job->settings->policysocket.s, job->host, end);
	return by_sts(policy, security, job, target);
}
