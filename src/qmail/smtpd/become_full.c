/* The small program, in the place of what it can't do: see encrypt.h. */
#include "lib/idn.h"
#include "smtpd/encrypt.h"
#include "smtpd/handover.h"

#include <errno.h>
#include <stdlib.h>
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

static bool
has_idn(const struct list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!idn_is_ascii(list->items[i]))
			return true;
	return idn_in_list(list);
}

bool
encrypt_begin(struct session *s)
{
	const char *at_once = getenv("SMTPS");

	if ((at_once && *at_once && !s->client.tlsd) || has_idn(&s->config.rcpthosts)) {
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
	reply(s, "454 TLS not available due to temporary reason (#4.3.0)");
}

enum idn
idn_convert(struct str *to, const char *name)
{
	(void)to;
	(void)name;
	return IDN_UNAVAILABLE;
}
