/* What qmail-smtpd reads from the control files, once, when it starts. */
#ifndef SMTPD_CONFIG_H
#define SMTPD_CONFIG_H

#include "lib/list.h"
#include "lib/str.h"

enum helo_check { HELO_ANY, HELO_NOT_OURS, HELO_SYNTAX, HELO_RESOLVES };
enum reverse_check { REVERSE_ANY, REVERSE_MARKED, REVERSE_NEEDED };

struct config {
	struct str greeting, localiphost;
	struct list rcpthosts, badmailfrom;
	struct str ciphers; /* empty: the library's */
	unsigned long timeout, session_time;
	unsigned long timeout_first, timeout_login, timeout_tls, timeout_crowded;
	unsigned long databytes; /* 0: no limit */
	unsigned long command_length, line_length;
	unsigned long recipients, commands, errors, hops;
	unsigned long relay_probes, null_sender_split;
	unsigned long received_client; /* Received names who has authenticated, and from where */
	unsigned long greet_delay;     /* seconds */
	enum helo_check helo_check;
	enum reverse_check reverse_check;
	unsigned long auth_delay, auth_failures, auth_timeout;
};

/* False: *broken names the file (or DATABYTES) that can't be used. */
bool config_read(struct config *config, const char **broken);

#endif
