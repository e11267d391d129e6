/* Queueing the message again: see resend.h. */
#include "local/resend.h"

#include "lib/identity.h"
#include "lib/submit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum outcome
resend(const char *line, struct message *message, const char *sender, struct list *recipients,
    bool own, unsigned long *id)
{
	static struct submission s;
	struct submit_result result;
	size_t i;

	if (!home_enter() || !(own ? submit_open_own(&s, getenv("QMAILQUEUE")) : submit_open(&s))) {
		report("Unable to start qmail-queue: %s. (#4.3.0)", strerror(errno));
		return OUTCOME_LATER;
	}
	submit_text(&s, line);
	if (!message_copy(message, &s.out))
		submit_fail(&s);
	submit_sender(&s, sender);
	list_index(recipients);
	for (i = 0; i < recipients->count; i++)
		submit_recipient(&s, recipients->items[i]);
	submit_close(&s, &result);
	*id = submit_id(&s);
	if (result.class == SUBMIT_ACCEPTED)
		return OUTCOME_DONE;
	report("Unable to forward message: %s.", result.text);
	return result.class == SUBMIT_REFUSED ? OUTCOME_NEVER : OUTCOME_LATER;
}
