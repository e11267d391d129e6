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

/* What it must be spoken to by, in front of why it isn't. */
static void
add_duty(const struct session *s, struct str *what)
{
	if (!must_prove_itself(s))
		str_set(what, "must be spoken to by TLS (#4.7.4), and isn't");
	else if (s->security->means == MEANS_DANE)
		str_addf(what,
		    "must prove itself by the TLSA records of _25._tcp.%s (#4.7.5), and doesn't",
		    s->security->dane->base);
	else if (s->security->means == MEANS_STS)
		str_addf(what,
		    "must prove to be %s, as the domain's MTA-STS policy has it (#4.7.5), and "
		    "doesn't",
		    s->name);
	else
		str_set(what, "must be spoken to by verified TLS (#4.7.4), and isn't");
}

/* Another server may do what this one can't. */
static bool
not_as_it_must(struct session *s, const char *why)
{
	struct str what = STR_INIT;

	add_duty(s, &what);
	outcome_failed(s->job->outcome, why);
	end_later(s, SESSION_NEXT, what.s, why);
	str_free(&what);
	return false;
}

/* The same where TLS is no duty: then the session, or the next one, goes on in the clear. */
static bool
do_without(struct session *s, const char *why)
{
	if (must(s))
		return not_as_it_must(s, why);
	outcome_failed(s->job->outcome, why);
	return true;
}

/* Trouble of this host's own: no other server would be better. */
static bool
own_trouble(struct session *s, const char *why)
{
	return end_later(s, SESSION_DONE, "was not spoken to by TLS (#4.3.5)", why);
}

/* Has the server prove itself by its TLSA records. Where none of them turns out to be of use, TLS
 * alone is the duty, and *proves is false (RFC 7672 section 2.2). */
static bool
expect_records(const struct dane *dane, struct tls *tls, bool *proves, struct str *error)
{
	struct tls_tlsa records[TLSA_MAX];
	size_t i, usable;

	for (i = 0; i < dane->tlsa.count; i++) {
		const struct tlsa *record = &dane->tlsa.items[i];

		records[i] = (struct tls_tlsa){.usage = (unsigned char)record->usage,
		    .selector = (unsigned char)record->selector,
		    .matching = (unsigned char)record->matching,
		    .data = (const unsigned char *)dane->tlsa.data.s + record->at,
		    .len = record->len};
	}
	if (!tls_dane(tls, records, dane->tlsa.count, dane->names.items, dane->names.count, &usable,
		error))
		return false;
	*proves = usable > 0;
	return true;
}

static bool
expect(struct session *s, struct tls *tls, bool *proves, struct str *error)
{
	const struct security *security = s->security;

	*proves = must_prove_itself(s);
	if (!*proves)
		return true;
	if (security->means == MEANS_DANE)
		return expect_records(security->dane, tls, proves, error);
	return tls_expect(tls, security->names.items, security->names.count, error);
}

/* Authorities: our own for whom this site has named, the system's for a policy, none where a chain
 * shows nothing. */
static const char *
authorities(const struct session *s)
{
	bool sts = s->security->means == MEANS_STS || s->security->sts_testing;

	if (!sts && (!must_prove_itself(s) || s->security->means == MEANS_DANE))
		return TLS_NOBODY;
	return s->job->settings->has_tlsca && !sts ? "control/tlsca.pem" : NULL;
}

static struct tls *
prepare(struct session *s, bool *proves, struct str *error)
{
	const struct settings *settings = s->job->settings;
	const struct security *security = s->security;
	bool shows = security->shows_certificate;
	struct tls_files files = {
	    .certificate = shows && settings->has_clientcert ? "control/clientcert.pem" : NULL,
	    .key = shows && settings->has_clientkey ? "control/clientkey.pem" : NULL,
	    .ciphers = settings->clientciphers.len ? settings->clientciphers.s : NULL};
	struct tls *tls =
	    tls_client(&files, security->means == MEANS_DANE ? security->dane->base : s->name,
		authorities(s), must_prove_itself(s), error);

	if (!tls || expect(s, tls, proves, error))
		return tls;
	tls_discard(tls);
	return NULL;
}

/* What a policy in testing would have had against it. */
static const char *
against(const struct session *s)
{
	return s->security->sts_testing ? tls_verified(s->connection->chan.tls) : NULL;
}

static void
tell_story(struct session *s, bool proves)
{
	static const char *const words[] = {
	    [MEANS_NAMES] = "verified", [MEANS_STS] = "sts", [MEANS_DANE] = "dane"};
	const char *flaw = against(s);

	if (flaw) {
		struct str why = STR_INIT;

		str_addf(&why, "certificate verify failed: %s", flaw);
		outcome_failed(s->job->outcome, why.s);
		str_free(&why);
	} else
		outcome_encrypted(s->job->outcome);
	str_addf(&s->tls_story, " by %s (%s, %s", s->connection->chan.protocol,
	    s->connection->chan.cipher, proves ? words[s->security->means] : "encrypted");
	if (s->security->sts_testing && s->job->outcome->why.len)
		str_addf(&s->tls_story, "; MTA-STS in testing: %s", s->job->outcome->why.s);
	str_add_char(&s->tls_story, ')');
}

/* TLS broke. */
static void
broke(struct session *s, const char *why)
{
	if (must(s)) {
		not_as_it_must(s, why);
		return;
	}
	outcome_failed(s->job->outcome, why);
	end_later(s, s->security->from_first_byte ? SESSION_NEXT : SESSION_CLEAR,
	    "breaks TLS (#4.4.2)", why);
}

bool
handshake(struct session *s)
{
	struct str error = STR_INIT;
	bool proves = false, done = false;
	struct tls *tls = prepare(s, &proves, &error);

	if (!tls)
		own_trouble(s, error.s);
	else if (!connection_start_tls(s->connection, tls, &error))
		broke(s, error.s);
	else {
		done = true;
		tell_story(s, proves);
	}
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
	outcome_failed(s->job->outcome, "it says more than the reply to STARTTLS");
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
		return do_without(s, "it does not offer STARTTLS");
	str_set(&s->command, "STARTTLS");
	if (!ask(s, must(s) ? SESSION_NEXT : SESSION_CLEAR, "at STARTTLS")) {
		outcome_failed(s->job->outcome, "the session broke at STARTTLS");
		return false;
	}
	if (s->reply.code == 421)
		return end_with(s, MESSAGE_LATER, SESSION_NEXT, "is closing down.");
	if (s->reply.code != 220)
		return do_without(s, "it refuses STARTTLS");
	*encrypted = true;
	return nothing_behind(s) && handshake(s);
}
