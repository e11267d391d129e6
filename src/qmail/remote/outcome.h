/* What has become of TLS with one server, for the log and for reports. */
#ifndef REMOTE_OUTCOME_H
#define REMOTE_OUTCOME_H

#include "lib/netip.h"

struct outcome {
	enum { OUTCOME_UNKNOWN, OUTCOME_ENCRYPTED, OUTCOME_FAILED } state;
	struct str why; /* with FAILED: what went wrong first; one printable line */
	bool connected;
	struct netip from; /* with connected: the address of ours that it was from */
};

#define OUTCOME_INIT                                                                               \
	{                                                                                          \
		.state = OUTCOME_UNKNOWN, .why = STR_INIT                                          \
	}

/* A connection is open; whatever its socket is from. */
void outcome_connected(struct outcome *outcome, int fd);
void outcome_clear(struct outcome *outcome);
/* As it should be; what failed before stays. */
void outcome_encrypted(struct outcome *outcome);
void outcome_failed(struct outcome *outcome, const char *why);

#endif
