/* Sender addresses of those who have authenticated: see sender.h. */
#include "smtpd/sender.h"

#include "smtpd/bykey.h"

static enum bykey
may_send(const struct session *s, const char *address)
{
	struct str given = STR_INIT, whole = STR_INIT;
	enum bykey found = BYKEY_FOUND;

	str_set(&given, address);
	if (given.len && !bykey_whole(&whole, &given))
		found = BYKEY_ERROR;
	else
		found = bykey_has("users/senders.cdb", &whole, s->user.s);
	str_free(&given);
	str_free(&whole);
	return found;
}

static const char *
refusal(struct session *s, const char *how, const char *address)
{
	struct str given = STR_INIT;

	str_set(&given, address);
	str_clear(&s->refusal);
	str_addf(&s->refusal, "553 sorry, %s may not %s <%s> (#5.7.1)", word(&s->user), how,
	    given.len ? word(&given) : "");
	str_free(&given);
	return s->refusal.s;
}

const char *
sender_objection(struct session *s, const struct str *address)
{
	s->judged = false;
	if (!session_authenticated(s))
		return NULL;
	switch (may_send(s, address->s)) {
	case BYKEY_NO_TABLE: return NULL;
	case BYKEY_FOUND: s->judged = true; return NULL;
	case BYKEY_ABSENT: return refusal(s, "send as", address->s);
	case BYKEY_ERROR: break;
	}
	return "451 unable to read controls (#4.3.0)";
}

const char *
sender_authors_objection(struct session *s, const struct authors *authors)
{
	size_t i;

	for (i = 0; i < authors->found.count; i++) {
		switch (may_send(s, authors->found.items[i])) {
		case BYKEY_NO_TABLE:
		case BYKEY_FOUND: break;
		case BYKEY_ABSENT: return refusal(s, "write From", authors->found.items[i]);
		case BYKEY_ERROR: return "451 unable to read controls (#4.3.0)";
		}
	}
	return authors->unreadable
		   ? "553 the From field must be addresses, and nothing else (#5.7.1)"
		   : NULL;
}
