/* The small program, in the place of what it can't do: see encrypt.h. */
#include "lib/idn.h"
#include "smtpd/encrypt.h"
#include "smtpd/handover.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FULL "bin/qmail-smtpd-full"

/* Returns where it can't be done. */
static void
become_full(struct session *s)
{
	static char program[] = FULL;

	s->arguments[0] = program;
	execv(FULL, s->arguments);
	note(s, "unable to run " FULL ": %s", strerror(errno));
}

bool
encrypt_begin(struct session *s)
{
	if ((s->client.tls_at_once && !s->client.tlsd) ||
	    !idn_list_is_ascii(&s->config.rcpthosts) || idn_in_list(&s->config.rcpthosts)) {
		become_full(s);
		session_abort(s, "421 unable to begin (#4.3.0)");
	}
	return true;
}

void
encrypt_session(struct session *s)
{
	if (!out_flush(&s->out))
		_exit(1);
	if (handover_give(s))
		become_full(s);
	handover_withdraw();
	session_refuse_tls(s);
}

enum idn
idn_convert(struct str *to, const char *name)
{
	(void)to;
	(void)name;
	return IDN_UNAVAILABLE;
}
