/* One message on its way into the queue: see handin.h. */
#include "smtpd/handin.h"

#include "lib/queued.h"

#include <stdio.h>
#include <string.h>

bool
handin_open(struct handin *h, const char *program, bool own)
{
	h->held = (struct str)STR_INIT;
	h->failed = false;
	h->number = 0;
	h->open = own || (program && *program);
	if (own)
		return submit_open_own(&h->queue, program);
	return !h->open || submit_open_to(&h->queue, program);
}

/* What is held goes to a qmail-queue of its own. */
static bool
open_queue(struct handin *h)
{
	if (!submit_open_to(&h->queue, NULL))
		return false;
	h->open = true;
	submit_bytes(&h->queue, h->held.s, h->held.len);
	str_free(&h->held);
	return true;
}

void
handin_bytes(struct handin *h, const void *bytes, size_t len)
{
	if (h->failed)
		return;
	if (!h->open && h->held.len + len > QUEUED_MESSAGE_MAX && !open_queue(h)) {
		handin_fail(h);
		return;
	}
	if (h->open)
		submit_bytes(&h->queue, bytes, len);
	else
		str_add_bytes(&h->held, bytes, len);
}

void
handin_fail(struct handin *h)
{
	h->failed = true;
	str_free(&h->held);
	if (h->open)
		submit_fail(&h->queue);
}

/* Whether there is a result. */
static bool
put(struct handin *h, const struct str *sender, const struct str *recipients,
    struct submit_result *result)
{
	struct str envelope = STR_INIT;
	struct queued_answer answer;
	enum queued outcome;
	const char *at;

	str_add_char(&envelope, 'F');
	str_add_bytes(&envelope, sender->s, sender->len + 1);
	for (at = recipients->s; at < recipients->s + recipients->len; at += strlen(at) + 1) {
		str_add_char(&envelope, 'T');
		str_add_bytes(&envelope, at, strlen(at) + 1);
	}
	str_add_char(&envelope, 0);
	outcome = queued_put(&h->held, &envelope, &answer);
	str_free(&envelope);
	if (outcome == QUEUED_ANSWERED)
		h->number = (unsigned long)answer.number;
	if (outcome != QUEUED_ELSEWHERE)
		submit_explain(outcome == QUEUED_LOST ? -1 : (int)answer.code, NULL, 0, result);
	return outcome != QUEUED_ELSEWHERE;
}

static void
close_queue(struct handin *h, const struct str *sender, const struct str *recipients,
    struct submit_result *result)
{
	const char *at;

	submit_sender(&h->queue, sender->s);
	for (at = recipients->s; at < recipients->s + recipients->len; at += strlen(at) + 1)
		submit_recipient(&h->queue, at);
	submit_close(&h->queue, result);
	h->number = submit_id(&h->queue);
}

static void
explain_no_program(struct submit_result *result)
{
	*result = (struct submit_result){.class = SUBMIT_TRY_LATER, .code = -1};
	snprintf(
	    result->text, sizeof result->text, "the queueing program can't be started (#4.3.0)");
}

void
handin_close(struct handin *h, const struct str *sender, const struct str *recipients,
    struct submit_result *result)
{
	if (h->open)
		close_queue(h, sender, recipients, result);
	else if (h->failed)
		explain_no_program(result);
	else if (!put(h, sender, recipients, result)) {
		if (open_queue(h))
			close_queue(h, sender, recipients, result);
		else
			explain_no_program(result);
	}
	str_free(&h->held);
}

void
handin_abandon(struct handin *h)
{
	if (h->open)
		submit_abandon(&h->queue);
	str_free(&h->held);
}
