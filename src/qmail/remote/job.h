/* What qmail-remote is to do, and how far one server can bring it. */
#ifndef REMOTE_JOB_H
#define REMOTE_JOB_H

#include "remote/message.h"
#include "remote/outcome.h"
#include "remote/report.h"
#include "remote/route.h"
#include "remote/settings.h"

struct job {
	const struct settings *settings;
	const char *host; /* as the DNS knows it */
	const struct route *route;
	const struct message *message;
	const char *sender;
	char *const *recipients;
	size_t recipient_count;
	struct report *report;
	struct outcome *outcome; /* with the server that is being tried */
};

enum session_end {
	SESSION_DONE,  /* the report says how it ended */
	SESSION_CLEAR, /* TLS broke where it is not a duty: this server is to be tried without */
	SESSION_NEXT   /* this server is of no use now, another may be; the report is for the
			  case that there is none */
};

#endif
