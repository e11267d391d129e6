/* The SMTP dialogue with one server (RFC 5321), over a link that is open. */
#ifndef REMOTE_SESSION_H
#define REMOTE_SESSION_H

#include "remote/link.h"
#include "remote/message.h"
#include "remote/report.h"
#include "remote/settings.h"
#include "remote/target.h"

struct errand {
	const struct settings *settings;
	const struct message *message;
	const char *sender;
	char *const *recipients;
	size_t recipient_count;
	struct report *report;
};

enum session_end {
	SESSION_DONE, /* the report says how it ended */
	SESSION_NEXT  /* this server is of no use now, another may be; the report is for the
			 case that there is none */
};

enum session_end session(
    const struct errand *errand, const struct target *target, struct link *link);

#endif
