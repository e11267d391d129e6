/* MAIL and RCPT: see transaction.h. */
#include "smtpd/transaction.h"

#include "lib/addr.h"
#include "smtpd/path.h"
#include "smtpd/policy.h"

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

static void
begin(struct session *s, const struct path *path)
{
	if (s->config.databytes && path->has_size && path->size > s->config.databytes) {
		reply(s, "552 sorry, that message size exceeds my databytes limit (#5.3.4)");
		return;
	}
	session_reset(s);
	s->transaction = true;
	str_set_str(&s->sender, &path->address);
	s->sender_refused = policy_bad_sender(&s->config, &path->address);
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

/* What the rules say to this recipient: the text of a refusal, NULL for a welcome one. */
static const char *
objection(const struct session *s, const struct str *address)
{
	const char *relay = session_relay(s);
	enum verdict ours = VERDICT_UNKNOWN, exists = VERDICT_YES;

	if (!s->sender.len && s->recipient_count)
		return s->config.null_sender_split
			   ? "452 a null sender has one recipient a transaction (#4.5.3)"
			   : "553 a null sender has one recipient only (#5.7.1)";
	if (s->sender_refused)
		return "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)";
	if (!relay && !s->config.relay_probes && policy_relay_probe(address))
		return "553 we don't relay (#5.7.1)";
	ours = policy_ours(&s->config, address);
	if (ours == VERDICT_NO && !relay)
		return "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";
	if (ours == VERDICT_YES && !(relay && *relay))
		exists = policy_exists(address);
	if (ours == VERDICT_UNKNOWN || exists == VERDICT_UNKNOWN)
		return "451 unable to read controls (#4.3.0)";
	return exists == VERDICT_NO ? "550 sorry, no mailbox here by that name (#5.1.1)" : NULL;
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
