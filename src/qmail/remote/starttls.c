/* TLS towards a server (RFC 3207): see dialogue.h. */
#include "lib/tls.h"
#include "remote/dialogue.h"

#include <string.h>

static bool
must(const struct session *s)
{
	return s->security->level >= SECURITY_REQUIRED;
}

static bool
must_prove_itself(const struct session *s)
{
	return s->security->level == SECURITY_VERIFIED;
}

/* Another server may do what this one can't. */
static bool
not_as_it_must(struct session *s, const char *why)
{
	return end_later(s, SESSION_NEXT,
	    must_prove_itself(s) ? "must be spoken to by verified TLS (#4.7.4), and isn't"
				 : "must be spoken to by TLS (#4.7.4), and isn't",
	    why);
}

/* Trouble of this host's own: no other server would be better. */
static bool
own_trouble(struct session *s, const char *why)
{
	return end_later(s, SESSION_DONE, "was not spoken to by TLS (#4.3.5)", why);
}

static struct tls *
prepare(struct session *s, struct str *error)
{
	const struct settings *settings = s->job->settings;
	const struct security *security = s->security;
	struct tls_files files = {
	    .certificate = settings->has_clientcert ? "control/clientcert.pem" : NULL,
	    .key = settings->has_clientkey ? "control/clientkey.pem" : NULL,
	    .ciphers = settings->clientciphers.len ? settings->clientciphers.s : NULL};
	struct tls *tls = tls_client(&files, s->name,
	    settings->has_tlsca ? "control/tlsca.pem" : NULL, must_prove_itself(s), error);

	if (!tls || !must_prove_itself(s) ||
	    tls_expect(tls, security->names.items, security->names.count, error))
		return tls;
	tls_discard(tls);
	return NULL;
}

bool
handshake(struct session *s)
{
	struct str error = STR_INIT;
	struct tls *tls = prepare(s, &error);
	bool done = tls != NULL;

	if (!tls)
		own_trouble(s, error.s);
	else if (!connection_start_tls(s->connection, tls, &error)) {
		done = false;
		if (must(s))
			not_as_it_must(s, error.s);
		else
			end_later(s, s->security->from_first_byte ? SESSION_NEXT : SESSION_CLEAR,
			    "breaks TLS (#4.4.2)", error.s);
	} else
		str_addf(&s->tls_story, " by %s (%s%s)", s->connection->chan.protocol,
		    s->connection->chan.cipher, must_prove_itself(s) ? ", verified" : "");
	str_free(&error);
	return done;
}

/*
 * What a server says in the clear must not count after the switch, and bytes behind the 220
 * were perhaps put there by somebody else (the client's side of CVE-2011-0411).
 */
static bool
nothing_behind(struct session *s)
{
	size_t len;

	in_peek(&s->connection->in, &len);
	if (!len)
		return true;
	return end_later(s, must(s) ? SESSION_NEXT : SESSION_CLEAR,
	    "says more than the reply to STARTTLS (#4.7.0)", "");
}

bool
starttls(struct session *s, bool *encrypted)
{
	*encrypted = false;
	if (s->security->level == SECURITY_CLEAR)
		return true;
	if (!s->offers.starttls)
		return !must(s) || not_as_it_must(s, "it does not offer STARTTLS");
	str_set(&s->command, "STARTTLS");
	if (!ask(s, must(s) ? SESSION_NEXT : SESSION_CLEAR, "at STARTTLS"))
		return false;
	if (s->reply.code == 421)
		return end_with(s, MESSAGE_LATER, SESSION_NEXT, "is closing down.");
	if (s->reply.code != 220)
		return !must(s) || not_as_it_must(s, "it refuses STARTTLS");
	*encrypted = true;
	return nothing_behind(s) && handshake(s);
}
