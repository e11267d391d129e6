/* What the steps of a session share: see dialogue.h. */
#include "remote/dialogue.h"

#include <errno.h>

bool
end_with(struct session *s, enum message_report letter, enum session_end end, const char *what)
{
	report_message(s->job->report, letter, "%s %s\n", s->peer.s, what);
	report_quote(s->job->report, &s->reply.text);
	s->end = end;
	return false;
}

bool
end_later(struct session *s, enum session_end end, const char *what, const char *why)
{
	report_message(
	    s->job->report, MESSAGE_LATER, "%s %s%s%s\n", s->peer.s, what, *why ? ": " : "", why);
	s->end = end;
	return false;
}

static bool
died(struct session *s, enum session_end end, const char *when)
{
	bool late = errno == ETIMEDOUT;

	report_message(s->job->report, MESSAGE_LATER,
	    late ? "Connected to %s but it gave no answer in time %s. (#4.4.2)\n"
		 : "Connected to %s but the connection died %s. (#4.4.2)\n",
	    s->peer.s, when);
	s->end = end;
	return false;
}

static bool
garbled(struct session *s, enum session_end end, const char *when)
{
	report_message(s->job->report, MESSAGE_LATER,
	    "Connected to %s but its answer %s is no SMTP reply. (#4.5.0)\n", s->peer.s, when);
	s->end = end;
	return false;
}

/* True when there is a reply to look at. */
bool
heard(struct session *s, enum connection_reply result, enum session_end end, const char *when)
{
	if (result == CONNECTION_DEAD)
		return died(s, end, when);
	if (result == CONNECTION_MALFORMED)
		return garbled(s, end, when);
	return true;
}

bool
ask(struct session *s, enum session_end end, const char *when)
{
	return heard(s, connection_say(s->connection, s->command.s, &s->reply), end, when);
}

enum message_report
letter_for(const struct reply *reply)
{
	return reply_class(reply) == 5 ? MESSAGE_REFUSED : MESSAGE_LATER;
}
