/* The SMTP dialogue with one server (RFC 5321), over a link that is open. */
#ifndef REMOTE_SESSION_H
#define REMOTE_SESSION_H

#include "remote/link.h"
#include "remote/message.h"
#include "remote/report.h"
#include "remote/security.h"
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
	SESSION_DONE,  /* the report says how it ended */
	SESSION_CLEAR, /* TLS broke where it is not a duty: this server is to be tried without */
	SESSION_NEXT   /* this server is of no use now, another may be; the report is for the
			  case that there is none */
};

/* The link is open and is left for the caller to close. */
enum session_end session(const struct errand *errand, const struct target *target,
    const struct security *security, struct link *link);

#endif
