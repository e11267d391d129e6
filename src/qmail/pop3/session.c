/* A POP3 client's commands and replies: see session.h. */
#include "pop3/session.h"

static ssize_t
read_client(void *context, char *buffer, size_t len)
{
	struct pop3_session *s = context;

	if (!out_flush(&s->out))
		return -1;
	return chan_read(&s->chan, buffer, len);
}

void
pop3_open(struct pop3_session *s, char *in, size_t in_len, char *out, size_t out_len)
{
	s->chan.in = 0;
	s->chan.out = 1;
	in_open(&s->in, read_client, s, in, in_len);
	out_open(&s->out, chan_write, &s->chan, out, out_len);
	s->line = (struct str)STR_INIT;
	s->commands = 0;
}

void
pop3_reply(struct pop3_session *s, const char *text)
{
	out_text(&s->out, text);
	out_text(&s->out, "\r\n");
}

void
pop3_reply_lines(struct pop3_session *s, const char *const *lines)
{
	for (; *lines; lines++)
		pop3_reply(s, *lines);
	pop3_reply(s, ".");
}

bool
pop3_next(struct pop3_session *s, unsigned long max, struct pop3_command *command)
{
	if (s->commands++ >= max) {
		pop3_reply(s, "-ERR too many commands");
		return false;
	}
	switch (in_line(&s->in, &s->line, '\n', POP3_LINE_MAX)) {
	case IN_LINE_OK: break;
	case IN_LINE_LONG: pop3_reply(s, "-ERR line too long"); return false;
	case IN_LINE_PARTIAL:
	case IN_LINE_ERROR: return false;
	}
	pop3_parse(s->line.s, s->line.len, command);
	return true;
}
