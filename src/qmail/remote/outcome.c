/* What has become of TLS: see outcome.h. */
#include "remote/outcome.h"

#include <string.h>
#include <sys/socket.h>

void
outcome_connected(struct outcome *outcome, int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} own;
	socklen_t len = sizeof own;

	if (getsockname(fd, &own.any, &len) < 0)
		return;
	outcome->connected = true;
	if (own.any.sa_family == AF_INET6) {
		outcome->from = (struct netip){.a = own.v6.sin6_addr};
		return;
	}
	outcome->from = (struct netip){0};
	memset(outcome->from.a.s6_addr + 10, 0xff, 2);
	memcpy(outcome->from.a.s6_addr + 12, &own.v4.sin_addr, 4);
}

void
outcome_clear(struct outcome *outcome)
{
	outcome->connected = false;
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
