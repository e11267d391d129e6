/* The SMTP dialogue: see session.h. */
#include "remote/session.h"

#include "lib/idn.h"
#include "remote/dialogue.h"
#include "remote/envelope.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define QUIT_PATIENCE 5 /* seconds; the message is dealt with, only manners are left */

/* Refused before it knows what for: that is about this server, and another may take it. */
static bool
refused_at_once(struct session *s, const char *words)
{
	enum message_report letter = letter_for(&s->reply);
	bool final = letter == MESSAGE_REFUSED && s->job->settings->greetingfinal;

	return end_with(s, letter, final ? SESSION_DONE : SESSION_NEXT, words);
}

static bool
greeting(struct session *s)
{
	if (!heard(s, connection_read(s->connection, &s->reply, s->connection->patience),
		SESSION_NEXT, "before it greeted"))
		return false;
	if (s->reply.code == 220)
		return true;
	return refused_at_once(s, "greets with a refusal.");
}

/*
 * With TLS 1.3 a server may break it only now, for instance over our certificate. Without a
 * duty to use TLS it is spoken to in the clear then.
 */
static bool
greet_as(struct session *s, const char *verb)
{
	bool optional_tls = s->connection->chan.tls && s->security->level == SECURITY_OFFERED &&
			    !s->security->from_first_byte;

	str_set(&s->command, verb);
	str_add_char(&s->command, ' ');
	str_add_str(&s->command, &s->job->settings->helohost);
	return ask(s, optional_tls ? SESSION_CLEAR : SESSION_NEXT, "while saying hello");
}

/* EHLO, and HELO for a server that does not know it. */
static bool
hello(struct session *s)
{
	s->offers = (struct offers){0};
	if (!greet_as(s, "EHLO"))
		return false;
	if (s->reply.code == 250) {
		offers_parse(&s->offers, &s->reply);
		return true;
	}
	if (reply_class(&s->reply) == 5 && !greet_as(s, "HELO"))
		return false;
	if (s->reply.code == 250)
		return true;
	return refused_at_once(s, "does not like my hello.");
}

/* From the first byte to a channel that is as secure as it has to be, and to an EHLO in it. */
static bool
open_session(struct session *s)
{
	bool encrypted = s->security->from_first_byte;

	if (encrypted && !handshake(s))
		return false;
	if (!greeting(s) || !hello(s))
		return false;
	if (encrypted)
		return true;
	return starttls(s, &encrypted) && (!encrypted || hello(s));
}

static bool
fits(struct session *s)
{
	const struct message *message = s->job->message;

	if (!message->known || !s->offers.size_limit || message->size <= s->offers.size_limit)
		return true;
	report_message(s->job->report, MESSAGE_REFUSED,
	    "%s takes messages of up to %lu bytes; this one has %zu. (#5.3.4)\n", s->peer.s,
	    s->offers.size_limit, message->size);
	s->end = SESSION_DONE;
	return false;
}

/*
 * An address as this server can be told it: without SMTPUTF8 a domain goes as its A-labels
 * (RFC 6531 section 3.2), a local part doesn't go at all, which is false.
 */
static bool
spell(const struct session *s, struct str *address)
{
	return !envelope_is_international(address->s) || s->offers.smtputf8 ||
	       (idn_address(address, address->s) == IDN_OK && idn_is_ascii(address->s));
}

static bool
needs_smtputf8(const struct job *job)
{
	size_t i;

	for (i = 0; i < job->recipient_count; i++)
		if (envelope_is_international(job->recipients[i]))
			return true;
	return envelope_is_international(job->sender);
}

static void
add_mail_parameters(struct session *s)
{
	const struct message *message = s->job->message;

	if (s->offers.size && message->known)
		str_addf(&s->command, " SIZE=%zu", message->size);
	if (s->offers.eight_bit && (message->eight_bit || !message->known))
		str_add(&s->command, " BODY=8BITMIME");
	if (s->offers.smtputf8 && needs_smtputf8(s->job))
		str_add(&s->command, " SMTPUTF8");
}

static bool
mail(struct session *s)
{
	struct str sender = STR_INIT;
	bool sayable;

	reply_start(&s->reply);
	str_set(&sender, s->job->sender);
	if (!spell(s, &sender)) {
		str_free(&sender);
		return end_with(s, MESSAGE_REFUSED, SESSION_DONE,
		    "does not know SMTPUTF8, which the sender's address needs. (#5.6.7)");
	}
	str_set(&s->command, "MAIL FROM:");
	sayable = envelope_add_path(&s->command, sender.s);
	str_free(&sender);
	if (!sayable) {
		report_message(s->job->report, MESSAGE_REFUSED,
		    "The sender's address can't be written in SMTP. (#5.1.7)\n");
		s->end = SESSION_DONE;
		return false;
	}
	add_mail_parameters(s);
	if (!ask(s, SESSION_DONE, "at the sender's address"))
		return false;
	if (s->reply.code == 250)
		return true;
	return end_with(s, letter_for(&s->reply), SESSION_DONE, "does not like the sender.");
}

struct tally {
	size_t accepted, later;
};

static void
add_recipient(struct session *s, struct tally *tally, enum recipient_report what, const char *why)
{
	struct str text = STR_INIT;

	tally->accepted += what == RECIPIENT_ACCEPTED;
	tally->later += what == RECIPIENT_LATER;
	if (what != RECIPIENT_ACCEPTED) {
		str_addf(&text, "%s %s\n", s->peer.s, why);
		if (s->reply.text.len)
			str_addf(&text, "Remote host said: %s", s->reply.text.s);
	}
	report_recipient(s->job->report, what, text.s);
	str_free(&text);
}

/* RFC 5321 section 4.5.3.1.10: 552 behind accepted recipients means "enough of them". */
static enum recipient_report
recipient_letter(const struct session *s, const struct tally *tally)
{
	if (reply_class(&s->reply) == 2)
		return RECIPIENT_ACCEPTED;
	if (reply_class(&s->reply) != 5 || (s->reply.code == 552 && tally->accepted))
		return RECIPIENT_LATER;
	return RECIPIENT_REFUSED;
}

/* The command for a recipient, or why there is none. */
static const char *
recipient_command(struct session *s, const char *address)
{
	struct str spelled = STR_INIT;
	const char *why = NULL;

	str_set(&s->command, "RCPT TO:");
	str_set(&spelled, address);
	if (!*address || !envelope_add_path(&s->command, address))
		why = "was not asked: the address can't be written in SMTP. (#5.1.3)";
	else if (!spell(s, &spelled))
		why = "does not know SMTPUTF8, which the address needs. (#5.6.7)";
	str_set(&s->command, "RCPT TO:");
	if (!why)
		envelope_add_path(&s->command, spelled.s);
	str_free(&spelled);
	return why;
}

static bool
recipient(struct session *s, struct tally *tally, const char *address)
{
	const char *why;

	reply_start(&s->reply);
	why = recipient_command(s, address);
	if (why) {
		add_recipient(s, tally, RECIPIENT_REFUSED, why);
		return true;
	}
	if (!ask(s, SESSION_DONE, "at a recipient's address"))
		return false;
	if (s->reply.code == 421)
		return end_with(s, MESSAGE_LATER, SESSION_DONE, "is closing down.");
	add_recipient(s, tally, recipient_letter(s, tally), "does not like recipient.");
	return true;
}

static bool
recipients(struct session *s)
{
	struct tally tally = {0};
	size_t i;

	for (i = 0; i < s->job->recipient_count; i++)
		if (!recipient(s, &tally, s->job->recipients[i]))
			return false;
	if (tally.accepted)
		return true;
	report_message(s->job->report, tally.later ? MESSAGE_LATER : MESSAGE_REFUSED,
	    "Giving up on %s.\n", s->peer.s);
	s->end = SESSION_DONE;
	return false;
}

static bool
data(struct session *s)
{
	str_set(&s->command, "DATA");
	if (!ask(s, SESSION_DONE, "at DATA"))
		return false;
	if (s->reply.code == 354)
		return true;
	return end_with(s, letter_for(&s->reply), SESSION_DONE, "refuses the DATA command.");
}

static bool
succeed(struct session *s)
{
	if (!s->tls_story.len)
		str_addf(&s->tls_story, " in the clear (%s)",
		    s->job->outcome->why.len ? s->job->outcome->why.s : "notlshosts");
	report_message(s->job->report, MESSAGE_SENT, "%s accepted the message%s.\n", s->peer.s,
	    s->tls_story.s);
	report_quote(s->job->report, &s->reply.text);
	s->end = SESSION_DONE;
	return false;
}

/* The message itself. Without the final dot it does not exist for the server. */
static bool
body(struct session *s)
{
	enum message_sent sent = message_send(&s->connection->out);

	if (sent == MESSAGE_UNREADABLE) {
		report_message(s->job->report, MESSAGE_LATER,
		    "The message could not be read from the queue: %s. (#4.3.0)\n",
		    strerror(errno));
		s->connection->out.failed = true; /* a QUIT would be text of the message */
		s->end = SESSION_DONE;
		return false;
	}
	if (!heard(s, connection_read(s->connection, &s->reply, s->connection->patience),
		SESSION_DONE,
		sent == MESSAGE_WRITTEN ? "after the message, which may arrive twice"
					: "within the message"))
		return false;
	if (reply_class(&s->reply) == 2 && sent == MESSAGE_WRITTEN)
		return succeed(s);
	return end_with(s, letter_for(&s->reply), SESSION_DONE, "refuses the message.");
}

static void
quit(struct session *s)
{
	if (s->end == SESSION_DONE)
		alarm(0); /* the report is final, and what follows has its own limit */
	if (s->end == SESSION_CLEAR || s->connection->out.failed || s->connection->in.failed)
		return;
	out_text(&s->connection->out, "QUIT\r\n");
	connection_read(s->connection, &s->reply, QUIT_PATIENCE);
}

enum session_end
session(const struct job *job, const struct target *target, const struct security *security,
    struct connection *connection)
{
	struct session s = {
	    .job = job, .security = security, .connection = connection, .end = SESSION_DONE};
	struct str address = STR_INIT;

	s.reply = (struct reply)REPLY_INIT;
	s.command = s.peer = s.tls_story = (struct str)STR_INIT;
	netip_add(&address, &target->ip);
	str_set_str(&s.peer, &address);
	s.name = *target->name ? target->name : address.s;
	report_clear(job->report);
	outcome_connected(job->outcome, connection->chan.in);
	if (open_session(&s) && authenticate(&s) && fits(&s) && mail(&s) && recipients(&s) &&
	    data(&s))
		body(&s);
	quit(&s);
	str_free(&s.reply.text);
	str_free(&s.command);
	str_free(&s.peer);
	str_free(&s.tls_story);
	str_free(&address);
	return s.end;
}
