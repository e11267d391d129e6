/* How long a client is waited for: see patience.h. */
#include "smtpd/patience.h"

#include "lib/clock.h"

void
patience_begin(struct session *s)
{
	s->last_end = s->chan.deadline;
	s->first_end = clock_after(s->config.timeout_first);
	s->login_end = clock_after(s->config.timeout_login);
	patience_renew(s);
}

void
patience_renew(struct session *s)
{
	s->message_end = clock_after(s->config.timeout_crowded);
}

/* Who is known has an account, or a network, that answers for what it does. */
static bool
must_hurry(const struct session *s)
{
	return s->client.crowded && !session_relay(s);
}

void
patience_hold(struct session *s)
{
	long long end;

	if (s->recipient_count || session_authenticated(s))
		s->welcome = true;
	if (s->welcome)
		end = s->last_end;
	else if (s->commands)
		end = s->login_end;
	else
		end = s->first_end;
	if (must_hurry(s) && s->message_end < end)
		end = s->message_end;
	s->chan.deadline = end < s->last_end ? end : s->last_end;
}
