/* One SMTP session: see session.h. */
#include "smtpd/session.h"

#include "lib/clock.h"
#include "lib/logword.h"
#include "smtpd/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLY_MAX 600
#define SKIP_MAX ((size_t)1 << 20) /* bytes of a line that is too long, beyond the limit */
#define REST_PAUSE 1   /* seconds that the rest of a line with a bare LF may take to come */
#define LINGER_PAUSE 5 /* seconds that a client in DATA may pause, and all in all */
#define LINGER_TIME 600

static void
take_leave(struct session *s)
{
	/* The limits may be what has ended it; last words are short. */
	s->chan.deadline = clock_after(2);
	out_flush(&s->out);
	chan_end(&s->chan);
}

void
session_end(struct session *s, int code)
{
	take_leave(s);
	exit(code);
}

void
session_abort(struct session *s, const char *last)
{
	out_text(&s->out, last);
	out_text(&s->out, "\r\n");
	take_leave(s);
	chan_linger(&s->chan);
	exit(1);
}

void
session_abort_data(struct session *s, const char *verdict)
{
	long long end = clock_after(LINGER_TIME);

	out_text(&s->out, verdict);
	out_text(&s->out, "\r\n421 that ends the session (#4.7.0)\r\n");
	out_flush(&s->out);
	chan_end(&s->chan);
	if (end < s->chan.deadline)
		s->chan.deadline = end;
	if (s->chan.timeout > LINGER_PAUSE)
		s->chan.timeout = LINGER_PAUSE;
	chan_linger(&s->chan);
	exit(1);
}

void
reply(struct session *s, const char *format, ...)
{
	char text[REPLY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (text[0] == '5' && ++s->errors > s->config.errors) {
		note(s, "ended: too many errors");
		session_abort(s, "421 too many errors (#4.7.0)");
	}
	out_text(&s->out, text);
	out_text(&s->out, "\r\n");
}

/* Passes over the rest of a line, up to its LF, and judges its end alone. */
static enum line_fault
skip_line(struct session *s)
{
	size_t skipped = 0, len = s->line.len, part;
	const char *bytes, *stop = NULL;
	char last = len ? s->line.s[len - 1] : 0;

	while (!stop && skipped < SKIP_MAX && in_fill(&s->in) > 0) {
		bytes = in_peek(&s->in, &len);
		stop = memchr(bytes, '\n', len);
		part = stop ? (size_t)(stop - bytes) : len;
		if (part)
			last = bytes[part - 1];
		in_take(&s->in, stop ? part + 1 : part);
		skipped += part;
	}
	if (stop)
		return last == '\r' ? LINE_FINE : LINE_BARE_LF;
	note(s, "ended: command line too long");
	session_abort(s, "421 line too long (#4.5.2)");
}

/* Whether more comes in a moment: what is not here yet may be under way. */
static bool
more_comes(struct session *s)
{
	const unsigned timeout = s->chan.timeout;
	ssize_t got;

	s->chan.timeout = REST_PAUSE;
	got = in_fill(&s->in);
	s->chan.timeout = timeout;
	/* That nothing came so soon is no end of the session; its limits are. */
	if (got < 0 && errno == ETIMEDOUT && clock_ms() < s->chan.deadline)
		s->in.failed = false;
	return got > 0;
}

/*
 * A line goes on up to its CRLF (RFC 5321 section 2.3.8), so what stands behind a bare LF is
 * no command of its own: who wrote it into the line of somebody else gets one reply for all.
 * Where a read, a segment or a record of TLS ends, the line does not: its rest is waited for,
 * for a moment, since who ends every line by LF sends no CRLF.
 */
static void
skip_to_crlf(struct session *s)
{
	size_t skipped = 0, len;
	bool cr = false;

	while (skipped < SKIP_MAX && more_comes(s)) {
		const char *bytes = in_peek(&s->in, &len), *end;

		if (cr && bytes[0] == '\n') {
			in_take(&s->in, 1);
			return;
		}
		end = memmem(bytes, len, "\r\n", 2);
		if (end) {
			in_take(&s->in, (size_t)(end - bytes) + 2);
			return;
		}
		cr = bytes[len - 1] == '\r';
		in_take(&s->in, len);
		skipped += len;
	}
	if (skipped < SKIP_MAX)
		return;
	note(s, "ended: command line too long");
	session_abort(s, "421 line too long (#4.5.2)");
}

/* Replies to a line that can't be a command. */
static void
refuse_line(struct session *s, enum line_fault fault, bool too_long)
{
	const char *argument;
	size_t len;

	if (fault == LINE_BARE_LF)
		skip_to_crlf(s);
	/* Nothing that was begun before such a line is carried on behind it. */
	if (fault == LINE_BARE_LF || fault == LINE_BARE_CR)
		session_reset(s);
	if (too_long)
		reply(s, "500 line too long (#5.5.2)");
	else if (fault != LINE_CONTROL)
		reply(s, "500 lines end in CRLF, and in nothing else (#5.5.2)");
	else if (command_parse(s->line.s, s->line.len, &argument, &len) == VERB_UNKNOWN)
		reply(s, "500 no command has control characters (#5.5.2)");
	else
		reply(s, "501 no argument has control characters (#5.5.4)");
}

bool
session_line(struct session *s, size_t max)
{
	enum line_fault fault = LINE_FINE;
	bool too_long = false;
	size_t len;

	switch (in_line(&s->in, &s->line, '\n', max + 1)) {
	case IN_LINE_OK:
		len = s->line.len;
		fault = line_check(s->line.s, &len);
		str_cut(&s->line, len);
		break;
	case IN_LINE_PARTIAL: session_end(s, 1);
	case IN_LINE_LONG:
		too_long = true;
		fault = skip_line(s);
		break;
	case IN_LINE_ERROR:
		if (errno == ETIMEDOUT)
			session_abort(s, "421 timeout (#4.4.2)");
		session_end(s, 1);
	}
	if (++s->commands > s->config.commands) {
		note(s, "ended: too many commands");
		session_abort(s, "421 too many commands (#4.7.0)");
	}
	if (too_long || fault != LINE_FINE)
		refuse_line(s, fault, too_long);
	return !too_long && fault == LINE_FINE;
}

void
session_reset(struct session *s)
{
	s->transaction = s->sender_refused = false;
	str_clear(&s->sender);
	str_clear(&s->recipients);
	s->recipient_count = 0;
	str_clear(&s->threshold);
	s->judged = false;
	s->size = 0;
}

void
session_refuse_tls(struct session *s)
{
	reply(s, "454 TLS not available due to temporary reason (#4.3.0)");
}

/*
 * Whatever was learnt or read ahead in the clear may come from somebody in between
 * (RFC 3207 section 4.2, CVE-2011-0411).
 */
void
session_agree_to_tls(struct session *s)
{
	reply(s, "220 ready for TLS");
	in_discard(&s->in);
	session_reset(s);
	str_clear(&s->helo);
	str_clear(&s->user);
	s->greeted = s->extended = false;
	if (!out_flush(&s->out))
		_exit(1);
}

bool
session_encrypted(const struct session *s)
{
	return s->chan.protocol || s->client.front;
}

const char *
session_certificate(const struct session *s)
{
	return s->client.bundle ? s->client.bundle : "control/servercert.pem";
}

bool
session_authenticated(const struct session *s)
{
	return s->user.len > 0;
}

const char *
session_relay(const struct session *s)
{
	return session_authenticated(s) ? "" : s->client.relay;
}

void
note(const struct session *s, const char *format, ...)
{
	char text[6144];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say("qmail-smtpd %ld %s: %s\n", (long)getpid(), s->client.ip, text);
}

/* The oldest of the copies, emptied. */
static struct str *
next_copy(void)
{
	static struct str copies[4] = {STR_INIT, STR_INIT, STR_INIT, STR_INIT};
	static unsigned next;
	struct str *copy = &copies[next++ % 4];

	str_clear(copy);
	return copy;
}

const char *
word(const struct str *text)
{
	struct str *copy = next_copy();

	log_add_word(copy, text->s, text->len);
	return copy->s;
}

const char *
quotation(const char *text)
{
	struct str *copy = next_copy();

	log_add_text(copy, text, strlen(text));
	return copy->s;
}
