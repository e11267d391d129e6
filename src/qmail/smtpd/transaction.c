/* MAIL and RCPT: see transaction.h. */
#include "smtpd/transaction.h"

#include "lib/addr.h"
#include "smtpd/anew.h"
#include "smtpd/bykey.h"
#include "smtpd/door.h"
#include "smtpd/path.h"
#include "smtpd/policy.h"
#include "smtpd/recipient.h"
#include "smtpd/returned.h"
#include "smtpd/sender.h"

static const char unreadable[] = "451 unable to read controls (#4.3.0)";

/* Replies to what is wrong with the path; true when nothing is. */
static bool
path_fine(struct session *s, enum path_fault fault, const struct path *path)
{
	if (fault == PATH_SYNTAX)
		reply(s, "501 syntax error in the address (#5.1.3)");
	else if (fault == PATH_LONG)
		reply(s, "501 address too long (#5.1.3)");
	else if (path->parameters == PARAMETERS_SYNTAX)
		reply(s, "501 malformed or repeated parameter (#5.5.4)");
	else if (path->parameters == PARAMETERS_FOREIGN)
		reply(s, "555 unknown parameter (#5.5.4)");
	else
		return true;
	return false;
}

/* What the rules say to this sender: the text of a refusal, or NULL. A bad one is refused later. */
static const char *
sender_fault(struct session *s, const struct path *path)
{
	enum verdict bad = VERDICT_UNKNOWN;

	if (s->config.databytes && path->has_size && path->size > s->config.databytes)
		return "552 sorry, that message size exceeds my databytes limit (#5.3.4)";
	if (anew_badmailfrom(&s->config))
		bad = policy_bad_sender(&s->config, &path->address);
	if (bad == VERDICT_UNKNOWN)
		return unreadable;
	s->sender_refused = bad == VERDICT_YES;
	return sender_objection(s, &path->address);
}

static void
begin(struct session *s, const struct path *path)
{
	const char *text;

	session_reset(s);
	text = sender_fault(s, path);
	if (text) {
		if (session_authenticated(s))
			note(s, "%s: sender <%s> user %s: %.3s %s",
			    text[0] == '5' ? "refused" : "deferred", word(&path->address),
			    word(&s->user), text, quotation(text + 4));
		reply(s, "%s", text);
		return;
	}
	s->transaction = true;
	s->size = path->has_size ? path->size : 0;
	str_set_str(&s->sender, &path->address);
	reply(s, "250 ok");
}

void
transaction_mail(struct session *s, const char *argument, size_t len)
{
	struct path path = PATH_INIT;

	if (!s->greeted)
		reply(s, "503 HELO or EHLO first (#5.5.1)");
	else if (s->client.auth_required && !session_authenticated(s))
		reply(s, "530 authentication required (#5.7.0)");
	else if (s->transaction)
		reply(s, "503 one MAIL at a time (#5.5.1)");
	else if (path_fine(s, path_parse(argument, len, "FROM", &path), &path))
		begin(s, &path);
	path_free(&path);
}

static void
refuse(struct session *s, const struct str *address, const char *text)
{
	note(s, "%s: from <%s> to <%s>: %.3s %s", text[0] == '5' ? "refused" : "deferred",
	    word(&s->sender), word(address), text, quotation(text + 4));
	reply(s, "%s", text);
}

/* Of a recipient in one of our domains. */
static const char *
own_objection(struct session *s, const struct str *address)
{
	struct str whole = STR_INIT;
	const char *text = unreadable;
	enum verdict exists = VERDICT_YES;

	if (bykey_whole(&whole, address)) {
		if (!str_equal_nocase(address, "postmaster"))
			exists = policy_exists(&whole);
		if (exists == VERDICT_NO)
			text = "550 sorry, no mailbox here by that name (#5.1.1)";
		else if (exists == VERDICT_YES)
			text = recipient_objection(s, &whole);
	}
	str_free(&whole);
	return text;
}

/* What the rules say to this recipient: the text of a refusal, NULL for a welcome one. It may
 * become another address. */
static const char *
objection(struct session *s, struct str *address)
{
	const char *relay = session_relay(s), *text;
	bool returned;
	enum verdict ours;

	if (!s->sender.len && s->recipient_count)
		return s->config.null_sender_split
			   ? "452 a null sender has one recipient a transaction (#4.5.3)"
			   : "553 a null sender has one recipient only (#5.7.1)";
	if (s->sender_refused)
		return "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)";
	text = door_objection(s);
	if (text)
		return text;
	text = returned_take(s, address, &returned);
	if (text)
		return text;
	if (!relay && !returned && !s->config.relay_probes && policy_relay_probe(address))
		return "553 we don't relay (#5.7.1)";
	ours = anew_rcpthosts(&s->config) ? policy_ours(&s->config, address) : VERDICT_UNKNOWN;
	if (ours == VERDICT_NO && !relay && !returned)
		return "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";
	if (ours == VERDICT_UNKNOWN)
		return unreadable;
	return ours == VERDICT_YES && !(relay && *relay) ? own_objection(s, address)
							 : recipient_plain(s);
}

static void
add_recipient(struct session *s, struct str *address)
{
	const char *relay = session_relay(s), *text;

	if (s->recipient_count >= s->config.recipients) {
		reply(s, "452 too many recipients (#4.5.3)");
		return;
	}
	policy_localip(&s->config, address);
	text = objection(s, address);
	if (!text && relay)
		str_add(address, relay);
	if (!text && address->len > ADDR_MAX)
		text = "501 address too long (#5.1.3)";
	if (text) {
		refuse(s, address, text);
		return;
	}
	str_add_bytes(&s->recipients, address->s, address->len + 1);
	s->recipient_count++;
	reply(s, "250 ok");
}

void
transaction_rcpt(struct session *s, const char *argument, size_t len)
{
	struct path path = PATH_INIT;

	if (!s->transaction)
		reply(s, "503 MAIL first (#5.5.1)");
	else if (path_fine(s, path_parse(argument, len, "TO", &path), &path))
		add_recipient(s, &path.address);
	path_free(&path);
}
