/*
 * qmail-smtpd: receives mail by SMTP (RFC 5321) on descriptors 0 and 1 and queues it.
 *
 * It trusts nobody on the other side: every length, count and time is bounded by a control
 * file (lib/controls.def), and what is not understood in one way only is refused.
 */
#include "lib/clock.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "smtpd/anew.h"
#include "smtpd/auth.h"
#include "smtpd/command.h"
#include "smtpd/door.h"
#include "smtpd/encrypt.h"
#include "smtpd/message.h"
#include "smtpd/patience.h"
#include "smtpd/resident.h"
#include "smtpd/session.h"
#include "smtpd/starttls.h"
#include "smtpd/transaction.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELO_MAX 255 /* RFC 5321 section 4.5.3.1.2 */

static struct session session;

/* Replies are sent when the client has nothing more under way: RFC 2920 section 3.2. */
static ssize_t
read_client(void *context, char *buffer, size_t len)
{
	struct session *s = context;

	patience_hold(s);
	if (clock_ms() >= s->chan.deadline) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (!out_flush(&s->out))
		return -1;
	return chan_read(&s->chan, buffer, len);
}

static const char *
variable(const char *name, const char *absent)
{
	const char *value = getenv(name);

	return value && *value ? value : absent;
}

static void
meet_client(struct client *client)
{
	client->ip = variable("TCPREMOTEIP", "unknown");
	client->host = variable("TCPREMOTEHOST", "unknown");
	client->info = variable("TCPREMOTEINFO", "");
	client->local = variable("TCPLOCALHOST", variable("TCPLOCALIP", "unknown"));
	client->relay = getenv("RELAYCLIENT");
	client->front = variable("TLSFRONT", NULL);
	client->bundle = variable("TLSBUNDLE", NULL);
	client->tlsd = variable("TLSD", NULL);
	client->auth_required = variable("SMTPAUTH_REQUIRED", NULL) != NULL;
	client->tls_at_once = variable("SMTPS", NULL) != NULL;
	client->crowded = variable("TCPCROWDED", NULL) != NULL;
	client->tls_required = variable("STARTTLS_REQUIRED", NULL) != NULL;
}

static void
greet(struct session *s, const char *argument, size_t len, bool extended)
{
	if (!len || len > HELO_MAX) {
		reply(s, "501 a host name must follow (#5.5.4)");
		return;
	}
	session_reset(s);
	str_set_bytes(&s->helo, argument, len);
	s->greeted = true;
	s->extended = extended;
	if (!extended) {
		reply(s, "250 %s", s->config.greeting.s);
		return;
	}
	reply(s, "250-%s", s->config.greeting.s);
	reply(s, "250-PIPELINING");
	reply(s, "250-8BITMIME");
	if (starttls_offered(s))
		reply(s, "250-STARTTLS");
	if (auth_offered(s))
		reply(s, "250-AUTH LOGIN PLAIN");
	reply(s, "250 SIZE %lu", s->config.databytes);
}

/* RFC 5321 section 4.1.1: false, with the reply sent, where a command has an argument that takes
 * none. */
static bool
bare(struct session *s, size_t argument_len)
{
	if (!argument_len)
		return true;
	reply(s, "501 this command takes no argument (#5.5.4)");
	return false;
}

static void
data(struct session *s, size_t argument_len)
{
	if (!bare(s, argument_len))
		return;
	if (!s->transaction)
		reply(s, "503 MAIL first (#5.5.1)");
	else if (!s->recipient_count)
		reply(s, "503 RCPT first (#5.5.1)");
	else
		message_receive(s);
}

/* RFC 3207 section 4: what may be said before STARTTLS where it is required. */
static bool
must_encrypt_first(const struct session *s, enum verb verb)
{
	if (!s->client.tls_required || session_encrypted(s))
		return false;
	return verb != VERB_NOOP && verb != VERB_EHLO && verb != VERB_STARTTLS &&
	       verb != VERB_QUIT && verb != VERB_AUTH;
}

static void
obey(struct session *s)
{
	const char *argument;
	size_t len;
	enum verb verb = command_parse(s->line.s, s->line.len, &argument, &len);

	if (must_encrypt_first(s, verb)) {
		reply(s, "530 must issue a STARTTLS command first (#5.7.0)");
		return;
	}
	switch (verb) {
	case VERB_HELO: greet(s, argument, len, false); break;
	case VERB_EHLO: greet(s, argument, len, true); break;
	case VERB_MAIL: transaction_mail(s, argument, len); break;
	case VERB_RCPT: transaction_rcpt(s, argument, len); break;
	case VERB_DATA: data(s, len); break;
	case VERB_RSET:
		if (!bare(s, len))
			break;
		session_reset(s);
		reply(s, "250 flushed");
		break;
	case VERB_NOOP: reply(s, "250 ok"); break;
	case VERB_HELP: reply(s, "214 see RFC 5321"); break;
	case VERB_VRFY:
		reply(s, "%s", len ? "252 send some mail, i'll try my best" : "501 whom? (#5.5.4)");
		break;
	case VERB_STARTTLS: starttls_command(s, len); break;
	case VERB_QUIT:
		if (!bare(s, len))
			break;
		reply(s, "221 %s", s->config.greeting.s);
		session_end(s, 0);
	case VERB_AUTH: auth_command(s, argument, len); break;
	case VERB_UNKNOWN: reply(s, "502 unimplemented (#5.5.1)"); break;
	}
}

static void
set_up(struct session *s)
{
	const char *broken = "home";
	bool at_home;

	in_open(&s->in, read_client, s, s->in_buffer, sizeof s->in_buffer);
	out_open(&s->out, chan_write, &s->chan, s->out_buffer, sizeof s->out_buffer);
	s->chan = (struct chan){.in = 0, .out = 1, .timeout = 60};
	s->helo = s->sender = s->recipients = s->user = s->line = (struct str)STR_INIT;
	s->threshold = s->refusal = (struct str)STR_INIT;
	meet_client(&s->client);
	at_home = home_enter();
	if (at_home)
		anew_begin();
	if (!at_home || !config_read(&s->config, &broken)) {
		note(s, "unable to read controls: %s", broken);
		session_abort(s, "421 unable to read controls (#4.3.0)");
	}
	s->chan.timeout = (unsigned)s->config.timeout;
	s->chan.deadline = clock_after(s->config.session_time);
}

int
main(int argc, char **argv)
{
	struct session *s = &session;

	process_closed();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	descriptors_tidy();
	set_up(s);
	patience_begin(s);
	s->arguments = argv;
	s->checker = argc > 1 ? argv + 1 : NULL;
	if (encrypt_begin(s)) {
		if (s->client.tlsd && s->client.tls_at_once)
			resident_at_once(s);
		door_wait(s);
		reply(s, "220 %s ESMTP", s->config.greeting.s);
	}
	for (;;) {
		if (session_line(s, auth_line_max(s)))
			obey(s);
	}
}
