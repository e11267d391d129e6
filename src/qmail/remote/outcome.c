/* What has become of TLS: see outcome.h. */
#include "remote/outcome.h"

void
outcome_clear(struct outcome *outcome)
{
	outcome->state = OUTCOME_UNKNOWN;
	str_clear(&outcome->why);
}

void
outcome_encrypted(struct outcome *outcome)
{
	if (outcome->state == OUTCOME_UNKNOWN)
		outcome->state = OUTCOME_ENCRYPTED;
}

void
outcome_failed(struct outcome *outcome, const char *why)
{
	if (outcome->state == OUTCOME_FAILED)
		return;
	outcome->state = OUTCOME_FAILED;
	str_set(&outcome->why, why);
}
