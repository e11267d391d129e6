/* STARTTLS (RFC 3207) and TLS from the first byte: see starttls.h. */
#include "smtpd/starttls.h"

#include "lib/tls.h"

#include <unistd.h>

#define CERTIFICATE "control/servercert.pem"
#define KEY "control/serverkey.pem"

static const char *
certificate(const struct session *s)
{
	return s->client.bundle ? s->client.bundle : CERTIFICATE;
}

bool
starttls_offered(const struct session *s)
{
	return !session_encrypted(s) && access(certificate(s), R_OK) == 0;
}

static struct tls *
prepare(const struct session *s)
{
	struct tls_files files = {
	    .certificate = certificate(s),
	    .key = !s->client.bundle && access(KEY, F_OK) == 0 ? KEY : NULL,
	    .ciphers = s->config.ciphers.len ? s->config.ciphers.s : NULL,
	};
	struct str error = STR_INIT;
	struct tls *tls = tls_server(&files, &error);

	if (!tls)
		note(s, "TLS not available: %s", error.s);
	str_free(&error);
	return tls;
}

static void
start(struct session *s, struct tls *tls)
{
	struct str error = STR_INIT;
	const unsigned timeout = s->chan.timeout;

	if (s->config.timeout_tls < timeout)
		s->chan.timeout = (unsigned)s->config.timeout_tls;
	if (!tls_start(tls, &s->chan, &error)) {
		note(s, "ended: %s", error.s);
		/* No last words: the channel is neither clear nor encrypted. */
		_exit(1);
	}
	s->chan.timeout = timeout;
	str_free(&error);
}

/*
 * Whatever was learnt or read ahead in the clear may come from somebody in between
 * (RFC 3207 section 4.2, CVE-2011-0411).
 */
static void
forget(struct session *s)
{
	in_discard(&s->in);
	session_reset(s);
	str_clear(&s->helo);
	str_clear(&s->user);
	s->greeted = s->extended = false;
}

void
starttls_command(struct session *s, size_t argument_len)
{
	struct tls *tls;

	if (session_encrypted(s)) {
		reply(s, "502 TLS is on already (#5.5.1)");
		return;
	}
	if (!starttls_offered(s)) {
		reply(s, "502 unimplemented (#5.5.1)");
		return;
	}
	if (argument_len) {
		reply(s, "501 STARTTLS takes no argument (#5.5.4)");
		return;
	}
	tls = prepare(s);
	if (!tls) {
		reply(s, "454 TLS not available due to temporary reason (#4.3.0)");
		return;
	}
	reply(s, "220 ready for TLS");
	forget(s);
	if (!out_flush(&s->out))
		_exit(1);
	start(s, tls);
}

void
tls_at_once(struct session *s)
{
	struct tls *tls = prepare(s);

	if (!tls)
		_exit(1);
	start(s, tls);
}
