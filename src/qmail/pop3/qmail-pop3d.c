/*
 * qmail-pop3d MAILDIR: the TRANSACTION and UPDATE states of POP3 (RFC 1939) on descriptors 0
 * and 1, for the user who has logged in already.
 */
#include "lib/bio.h"
#include "lib/chan.h"
#include "lib/descriptors.h"
#include "pop3/command.h"
#include "pop3/maildrop.h"
#include "pop3/transmit.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT 1200 /* seconds; RFC 1939 section 3 asks for ten minutes at least */
#define COMMANDS_MAX 4000000

struct session {
	struct chan chan;
	struct in in;
	struct out out;
	char in_buffer[4096], out_buffer[16384];
	struct str line, text;
	struct maildrop drop;
};

static struct session session = {
    .line = STR_INIT,
    .text = STR_INIT,
    .drop = MAILDROP_INIT,
};

static ssize_t
read_client(void *context, char *buffer, size_t len)
{
	struct session *s = context;

	if (!out_flush(&s->out))
		return -1;
	return chan_read(&s->chan, buffer, len);
}

static void
reply(struct session *s, const char *text)
{
	out_text(&s->out, text);
	out_text(&s->out, "\r\n");
}

/* Exit code 0 always: the program in front takes others for a failed log-in. */
static void __attribute__((noreturn)) end(struct session *s, const char *last)
{
	if (last)
		reply(s, last);
	out_flush(&s->out);
	maildrop_free(&s->drop);
	str_free(&s->line);
	str_free(&s->text);
	exit(0);
}

/* The message that a command's first number names: false, with the reply sent, for none. */
static bool
message_of(struct session *s, const struct pop3_command *command, size_t *number)
{
	if (command->malformed || !command->numbers) {
		reply(s, "-ERR which message?");
		return false;
	}
	if (!command->number[0] || command->number[0] > s->drop.count) {
		reply(s, "-ERR no such message");
		return false;
	}
	*number = (size_t)command->number[0] - 1;
	if (s->drop.messages[*number].deleted) {
		reply(s, "-ERR already deleted");
		return false;
	}
	return true;
}

static void
number(struct session *s, unsigned long value, const char *behind)
{
	out_number(&s->out, value);
	out_text(&s->out, behind);
}

static void
stat_drop(struct session *s)
{
	unsigned long count, bytes;

	maildrop_total(&s->drop, &count, &bytes);
	out_text(&s->out, "+OK ");
	number(s, count, " ");
	number(s, bytes, "\r\n");
}

/* One line of LIST or UIDL. */
static void
line_of(struct session *s, size_t i, bool uidl)
{
	number(s, i + 1, " ");
	if (uidl) {
		maildrop_uidl(&s->drop, i, &s->text);
		out_str(&s->out, &s->text);
		out_text(&s->out, "\r\n");
	} else {
		number(s, (unsigned long)s->drop.messages[i].size, "\r\n");
	}
}

static void
list(struct session *s, const struct pop3_command *command, bool uidl)
{
	size_t i;

	if (command->malformed || command->numbers) {
		if (message_of(s, command, &i)) {
			out_text(&s->out, "+OK ");
			line_of(s, i, uidl);
		}
		return;
	}
	reply(s, "+OK");
	for (i = 0; i < s->drop.count; i++)
		if (!s->drop.messages[i].deleted)
			line_of(s, i, uidl);
	reply(s, ".");
}

static void
send_message(struct session *s, const struct pop3_command *command, bool top)
{
	unsigned long body = TRANSMIT_ALL;
	size_t i;
	int fd;

	if (!message_of(s, command, &i))
		return;
	if (command->numbers != (top ? 2U : 1U)) {
		reply(s, top ? "-ERR how many lines?" : "-ERR one message at a time");
		return;
	}
	if (top)
		body = command->number[1];
	fd = maildrop_read(&s->drop, i);
	if (fd < 0) {
		reply(s, "-ERR [SYS/TEMP] that message is gone or can't be read");
		return;
	}
	reply(s, "+OK");
	if (!transmit(&s->out, fd, body))
		/* Half a message must not pass for a whole one. */
		exit(0);
	close(fd);
}

static void
delete_message(struct session *s, const struct pop3_command *command)
{
	size_t i;

	if (!message_of(s, command, &i))
		return;
	s->drop.messages[i].deleted = true;
	reply(s, "+OK");
}

static void
reset(struct session *s)
{
	size_t i;

	for (i = 0; i < s->drop.count; i++)
		s->drop.messages[i].deleted = false;
	reply(s, "+OK");
}

static void
capabilities(struct session *s)
{
	static const char *const lines[] = {"+OK", "TOP", "UIDL", "PIPELINING", "RESP-CODES",
	    "EXPIRE NEVER", "IMPLEMENTATION qmail-pop3d", "."};
	size_t i;

	for (i = 0; i < sizeof lines / sizeof *lines; i++)
		reply(s, lines[i]);
}

static void
quit(struct session *s)
{
	if (maildrop_update(&s->drop))
		end(s, "-ERR [SYS/TEMP] some deleted messages could not be removed");
	end(s, "+OK");
}

static void
obey(struct session *s)
{
	struct pop3_command command;

	pop3_parse(s->line.s, s->line.len, &command);
	switch (command.verb) {
	case POP3_STAT: stat_drop(s); break;
	case POP3_LIST: list(s, &command, false); break;
	case POP3_UIDL: list(s, &command, true); break;
	case POP3_RETR: send_message(s, &command, false); break;
	case POP3_TOP: send_message(s, &command, true); break;
	case POP3_DELE: delete_message(s, &command); break;
	case POP3_RSET: reset(s); break;
	case POP3_NOOP: reply(s, "+OK"); break;
	case POP3_CAPA: capabilities(s); break;
	case POP3_QUIT: quit(s); break;
	case POP3_USER:
	case POP3_PASS:
	case POP3_APOP:
	case POP3_UNKNOWN: reply(s, "-ERR unimplemented"); break;
	}
}

int
main(int argc, char **argv)
{
	struct session *s = &session;
	unsigned long commands;

	signal(SIGPIPE, SIG_IGN);
	descriptors_tidy();
	s->chan = (struct chan){.in = 0, .out = 1, .timeout = TIMEOUT};
	in_open(&s->in, read_client, s, s->in_buffer, sizeof s->in_buffer);
	out_open(&s->out, chan_write, &s->chan, s->out_buffer, sizeof s->out_buffer);
	if (!getuid() || !geteuid())
		end(s, "-ERR [SYS/PERM] no mail for root here; log in as a user");
	if (argc != 2 || chdir(argv[1]) < 0)
		end(s, "-ERR [SYS/TEMP] no Maildir here, or no way into it");
	maildrop_clean();
	if (!maildrop_open(&s->drop))
		end(s, "-ERR [SYS/TEMP] the Maildir can't be read");
	reply(s, "+OK");
	for (commands = 0; commands < COMMANDS_MAX; commands++) {
		switch (in_line(&s->in, &s->line, '\n', POP3_LINE_MAX)) {
		case IN_LINE_OK: break;
		case IN_LINE_LONG: end(s, "-ERR line too long");
		case IN_LINE_PARTIAL:
		case IN_LINE_ERROR: end(s, NULL);
		}
		obey(s);
	}
	end(s, "-ERR too many commands");
}
