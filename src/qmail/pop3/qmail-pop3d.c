/*
 * qmail-pop3d MAILDIR: the TRANSACTION and UPDATE states of POP3 (RFC 1939) on descriptors 0
 * and 1, for the user who has logged in already.
 */
#include "lib/descriptors.h"
#include "pop3/maildrop.h"
#include "pop3/session.h"
#include "pop3/transmit.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT 1200 /* seconds; RFC 1939 section 3 asks for ten minutes at least */
#define COMMANDS_MAX 4000000

struct session {
	struct pop3_session client;
	char in_buffer[4096], out_buffer[65536];
	struct str text;
	struct maildrop drop;
};

static struct session session = {
    .text = STR_INIT,
    .drop = MAILDROP_INIT,
};

static void
reply(struct session *s, const char *text)
{
	pop3_reply(&s->client, text);
}

/* Exit code 0 always: the program in front takes others for a failed log-in. */
static void __attribute__((noreturn)) end(struct session *s, const char *last)
{
	if (last)
		reply(s, last);
	out_flush(&s->client.out);
	maildrop_note_sizes(&s->drop);
	maildrop_free(&s->drop);
	str_free(&s->client.line);
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
	out_number(&s->client.out, value);
	out_text(&s->client.out, behind);
}

static void
stat_drop(struct session *s)
{
	unsigned long count, bytes;

	maildrop_total(&s->drop, &count, &bytes);
	out_text(&s->client.out, "+OK ");
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
		out_str(&s->client.out, &s->text);
		out_text(&s->client.out, "\r\n");
	} else {
		number(s, maildrop_size(&s->drop, i), "\r\n");
	}
}

static void
list(struct session *s, const struct pop3_command *command, bool uidl)
{
	size_t i;

	if (command->malformed || command->numbers) {
		if (message_of(s, command, &i)) {
			out_text(&s->client.out, "+OK ");
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
	if (!transmit(&s->client.out, fd, body))
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
	    "EXPIRE NEVER", "IMPLEMENTATION qmail-pop3d", NULL};

	pop3_reply_lines(&s->client, lines);
}

static void
quit(struct session *s)
{
	if (maildrop_update(&s->drop))
		end(s, "-ERR [SYS/TEMP] some deleted messages could not be removed");
	end(s, "+OK");
}

static void
obey(struct session *s, const struct pop3_command *command)
{
	switch (command->verb) {
	case POP3_STAT: stat_drop(s); break;
	case POP3_LIST: list(s, command, false); break;
	case POP3_UIDL: list(s, command, true); break;
	case POP3_RETR: send_message(s, command, false); break;
	case POP3_TOP: send_message(s, command, true); break;
	case POP3_DELE: delete_message(s, command); break;
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
	struct pop3_command command;

	process_closed();
	signal(SIGPIPE, SIG_IGN);
	descriptors_tidy();
	s->client.chan.timeout = TIMEOUT;
	pop3_open(
	    &s->client, s->in_buffer, sizeof s->in_buffer, s->out_buffer, sizeof s->out_buffer);
	if (!getuid() || !geteuid())
		end(s, "-ERR [SYS/PERM] no mail for root here; log in as a user");
	if (argc != 2 || chdir(argv[1]) < 0)
		end(s, "-ERR [SYS/TEMP] no Maildir here, or no way into it");
	maildrop_clean();
	if (!maildrop_open(&s->drop))
		end(s, "-ERR [SYS/TEMP] the Maildir can't be read");
	reply(s, "+OK");
	while (pop3_next(&s->client, COMMANDS_MAX, &command))
		obey(s, &command);
	end(s, NULL);
}
