/* DATA: see message.h. */
#include "smtpd/message.h"

#include "filters/list.h"
#include "lib/control.h"
#include "lib/signing.h"
#include "lib/when.h"
#include "smtpd/authors.h"
#include "smtpd/complete.h"
#include "smtpd/data.h"
#include "smtpd/handin.h"
#include "smtpd/loop.h"
#include "smtpd/patience.h"
#include "smtpd/received.h"
#include "smtpd/recipient.h"
#include "smtpd/results.h"
#include "smtpd/sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct intake {
	struct handin queue;
	bool own; /* it originates here: what it lacks is added, and it is signed */
	struct results results;
	struct complete complete;
	struct data data;
	struct hops hops;
	struct authors authors;
	unsigned long bytes;
	bool refused; /* nothing more goes to the queue; the rest is read and forgotten */
};

static void
announce(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

/*
 * A stranger's mail and that of an authenticated user are filtered each by its own program,
 * if by any; what is not named is qmail-queue itself. Nothing but a log-in that succeeded
 * makes the difference, and it holds as long as the session.
 *
 * Where a list is named as well, that program is one that does nothing but start the filters in it:
 * as long as there are none, it is left out. The list is looked at for each message.
 *
 * What is to be signed is so behind the filters: such a program is told by SIGNQUEUE that it ends
 * in qmail-sign, and knows that it does. Of any other program nothing is known, so its message is
 * signed before.
 */
static bool
open_queue(const struct session *s, struct intake *m, bool sign)
{
	const bool known = session_authenticated(s);
	const char *program = getenv(known ? "AUTHQMAILQUEUE" : "QMAILQUEUE");
	const char *list = getenv(known ? "AUTHFILTERS" : "FILTERS");
	bool by_program = false;

	recipient_announce(s);
	if (list && *list) {
		if (filters_none(list))
			program = NULL;
		by_program = program && *program;
	}
	announce("SIGNQUEUE", sign && by_program ? "1" : NULL);
	announce("SMTPHELO", s->greeted && s->helo.len ? s->helo.s : NULL);
	return handin_open(&m->queue, program, sign && !by_program);
}

/* What a message of our own users may lack; false where a control file can't be read. */
static bool
prepare_fields(struct complete *complete)
{
	struct timespec now;
	struct str host = STR_INIT;
	bool known = control_line_or_me("idhost", &host, "localhost") == CONTROL_OK;

	clock_gettime(CLOCK_REALTIME, &now);
	str_set(&complete->date, "Date: ");
	when_822(&complete->date, now.tv_sec);
	str_add_char(&complete->date, '\n');
	str_addf(&complete->id, "Message-ID: <%lld.%06ld.%ld.smtp@", (long long)now.tv_sec,
	    now.tv_nsec / 1000, (long)getpid());
	str_add_str(&complete->id, &host);
	str_add(&complete->id, ">\n");
	str_free(&host);
	return known;
}

/* What becomes of the header of a message of our own; false where a control file can't be read. */
static bool
prepare(struct intake *m)
{
	return prepare_fields(&m->complete) &&
	       control_line("me", &m->results.ours) != CONTROL_ERROR;
}

/* False, with the reply sent, where the message can't be taken now. */
static bool
begin(struct session *s, struct intake *m)
{
	enum control sign = CONTROL_ABSENT;

	m->own = session_relay(s) != NULL;
	complete_start(&m->complete);
	results_start(&m->results);
	if (m->own)
		sign = prepare(m) ? signing_wanted() : CONTROL_ERROR;
	if (sign == CONTROL_ERROR)
		reply(s, "451 unable to read controls (#4.3.0)");
	else if (open_queue(s, m, sign == CONTROL_OK))
		return true;
	else
		reply(s, "451 the queueing program can't be started (#4.3.0)");
	complete_free(&m->complete);
	results_free(&m->results);
	return false;
}

/* With what it lacks, if it is our own. */
static void
add_completed(struct intake *m, const char *bytes, size_t len)
{
	struct str header = STR_INIT;
	size_t used = 0;

	if (m->own && !m->complete.done) {
		used = complete_feed(&m->complete, bytes, len, &header);
		handin_bytes(&m->queue, header.s, header.len);
		str_free(&header);
	}
	handin_bytes(&m->queue, bytes + used, len - used);
}

static void
add_to_queue(struct intake *m, const char *bytes, size_t len)
{
	struct str header = STR_INIT;
	size_t used = 0;

	if (m->own && !m->results.over) {
		used = results_feed(&m->results, bytes, len, &header);
		add_completed(m, header.s, header.len);
		str_free(&header);
	}
	add_completed(m, bytes + used, len - used);
}

static void
end_for_queue(struct intake *m)
{
	struct str header = STR_INIT;

	if (m->own && !m->refused) {
		results_end(&m->results, &header);
		add_completed(m, header.s, header.len);
		str_clear(&header);
		complete_end(&m->complete, &header);
		handin_bytes(&m->queue, header.s, header.len);
	}
	str_free(&header);
}

static bool
too_big(const struct session *s, const struct intake *m)
{
	return s->config.databytes && m->bytes > s->config.databytes;
}

static bool
looping(const struct session *s, const struct intake *m)
{
	return m->hops.count >= s->config.hops;
}

static void
take_decoded(struct session *s, struct intake *m, const char *bytes, size_t len)
{
	if (m->refused)
		return;
	m->bytes += len;
	hops_scan(&m->hops, bytes, len);
	if (s->judged)
		authors_scan(&m->authors, bytes, len);
	if (too_big(s, m) || looping(s, m) || m->data.longest > s->config.line_length) {
		m->refused = true;
		handin_fail(&m->queue);
		return;
	}
	add_to_queue(m, bytes, len);
}

static void
forget(struct intake *m)
{
	hops_free(&m->hops);
	authors_free(&m->authors);
	complete_free(&m->complete);
	results_free(&m->results);
}

static void
abandon(struct session *s, struct intake *m, const char *why)
{
	handin_abandon(&m->queue);
	forget(m);
	note(s, "ended: %s in DATA", why);
}

/* Reads up to the end of the data; every other end is the end of the session. */
static void
read_message(struct session *s, struct intake *m)
{
	char decoded[sizeof s->in_buffer];

	for (;;) {
		ssize_t got = in_fill(&s->in);
		size_t len, used, decoded_len;
		const char *bytes;

		if (got < 0 && errno == ETIMEDOUT) {
			abandon(s, m, "time-out");
			session_abort(s, "421 timeout (#4.4.2)");
		}
		if (got <= 0) {
			abandon(s, m, "connection lost");
			session_end(s, 1);
		}
		bytes = in_peek(&s->in, &len);
		switch (data_decode(&m->data, bytes, len, &used, decoded, &decoded_len)) {
		case DATA_MORE: break;
		case DATA_END:
			in_take(&s->in, used);
			take_decoded(s, m, decoded, decoded_len);
			return;
		case DATA_BARE_LF:
			abandon(s, m, "bare LF");
			session_abort_data(
			    s, "554 bare LF is not accepted; lines end in CRLF (#5.6.0)");
		case DATA_BARE_CR:
			abandon(s, m, "bare CR");
			session_abort_data(
			    s, "554 bare CR is not accepted; lines end in CRLF (#5.6.0)");
		}
		in_take(&s->in, used);
		take_decoded(s, m, decoded, decoded_len);
	}
}

/* The code of a refusal: what refuses by a policy says 550 itself (RFC 9989 section 7.4). */
static const char *
refusal_code(const char *text)
{
	return strncmp(text, "550 ", 4) == 0 ? "" : "554 ";
}

static void
answer(struct session *s, const struct intake *m, const struct submit_result *result)
{
	unsigned long queue = m->queue.number;

	switch (result->class) {
	case SUBMIT_ACCEPTED:
		s->errors = 0;
		patience_renew(s);
		note(s, "accepted: qp %lu bytes %lu from <%s> recipients %lu%s%s", queue, m->bytes,
		    word(&s->sender), s->recipient_count, session_authenticated(s) ? " user " : "",
		    word(&s->user));
		reply(s, "250 ok %lld qp %lu", (long long)time(NULL), queue);
		break;
	case SUBMIT_REFUSED:
		note(s, "refused: message from <%s>: %s%s", word(&s->sender),
		    refusal_code(result->text), quotation(result->text));
		reply(s, "%s%s", refusal_code(result->text), result->text);
		break;
	case SUBMIT_TRY_LATER:
		note(s, "deferred: message from <%s>: 451 %s", word(&s->sender),
		    quotation(result->text));
		reply(s, "451 %s", result->text);
		break;
	}
}

static const char *
objection(struct session *s, struct intake *m)
{
	if (too_big(s, m))
		return "552 sorry, that message size exceeds my databytes limit (#5.3.4)";
	if (looping(s, m))
		return "554 too many hops, this message is looping (#5.4.6)";
	if (m->refused)
		return "554 line too long (#5.6.0)";
	/* To somebody whom we know it may come back as a bounce. */
	if (session_authenticated(s)) {
		authors_end(&m->authors);
		return s->judged ? sender_authors_objection(s, &m->authors) : NULL;
	}
	switch (loop_foreseen(&s->recipients, &m->hops.addresses)) {
	case VERDICT_NO: return NULL;
	case VERDICT_YES:
		return "554 this message is looping: one of its recipients has had it (#5.4.6)";
	case VERDICT_UNKNOWN: break;
	}
	return "451 unable to read controls (#4.3.0)";
}

static void
refuse(struct session *s, struct intake *m, const char *text)
{
	handin_abandon(&m->queue);
	note(s, "%s: message from <%s>: %.3s %s", text[0] == '5' ? "refused" : "deferred",
	    word(&s->sender), text, quotation(text + 4));
	reply(s, "%s", text);
}

void
message_receive(struct session *s)
{
	struct intake m = {.bytes = 0};
	struct submit_result result;
	struct str received = STR_INIT;
	const char *text;

	if (!begin(s, &m))
		return;
	data_start(&m.data);
	hops_start(&m.hops);
	authors_start(&m.authors);
	received_add(&received, s, time(NULL));
	handin_bytes(&m.queue, received.s, received.len);
	str_free(&received);
	reply(s, "354 go ahead");
	read_message(s, &m);
	end_for_queue(&m);
	text = objection(s, &m);
	if (text) {
		refuse(s, &m, text);
	} else {
		handin_close(&m.queue, &s->sender, &s->recipients, &result);
		answer(s, &m, &result);
	}
	forget(&m);
	session_reset(s);
}
