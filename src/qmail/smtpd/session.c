/* One SMTP session: see session.h. */
#include "smtpd/session.h"

#include "lib/addr.h"
#include "lib/tls.h"
#include "smtpd/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLY_MAX 600

static void
take_leave(struct session *s)
{
	/* The limits may be what has ended it; last words are short. */
	s->chan.deadline = clock_now() + 2;
	out_flush(&s->out);
	tls_end(&s->chan);
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

void
session_line(struct session *s, size_t max)
{
	size_t len;

	switch (in_line(&s->in, &s->line, '\n', max + 1)) {
	case IN_LINE_OK: break;
	case IN_LINE_PARTIAL: session_end(s, 1);
	case IN_LINE_LONG:
		note(s, "ended: command line too long");
		session_abort(s, "500 line too long (#5.5.2)");
	case IN_LINE_ERROR:
		if (errno == ETIMEDOUT)
			session_abort(s, "421 timeout (#4.4.2)");
		session_end(s, 1);
	}
	if (++s->commands > s->config.commands) {
		note(s, "ended: too many commands");
		session_abort(s, "421 too many commands (#4.7.0)");
	}
	len = s->line.len;
	switch (line_check(s->line.s, &len)) {
	case LINE_FINE: break;
	case LINE_BARE_LF:
	case LINE_BARE_CR:
		note(s, "ended: command line without proper CRLF");
		session_abort(s, "500 lines end in CRLF, and in nothing else (#5.5.2)");
	case LINE_CONTROL: len = 0; break; /* no command has such bytes */
	}
	str_cut(&s->line, len);
}

void
session_reset(struct session *s)
{
	s->transaction = s->sender_refused = false;
	str_clear(&s->sender);
	str_clear(&s->recipients);
	s->recipient_count = 0;
}

bool
session_encrypted(const struct session *s)
{
	return s->chan.tls || s->client.front;
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
	char text[800];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say("qmail-smtpd %ld %s: %s\n", (long)getpid(), s->client.ip, text);
}

const char *
session_printable(const struct str *text)
{
	static struct str copies[2] = {STR_INIT, STR_INIT};
	static int next;
	struct str *copy = &copies[next ^= 1];

	str_clear(copy);
	add_printable(copy, text->s, text->len, 100);
	return copy->s;
}
