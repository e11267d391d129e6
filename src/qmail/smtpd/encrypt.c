/* TLS by this process: see encrypt.h. */
#include "smtpd/encrypt.h"

#include "lib/tls.h"
#include "smtpd/handover.h"

#include <unistd.h>

#define KEY "control/serverkey.pem"

static struct tls *
prepare(const struct session *s)
{
	struct tls_files files = {
	    .certificate = session_certificate(s),
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

void
encrypt_session(struct session *s)
{
	struct tls *tls = prepare(s);

	if (!tls) {
		session_refuse_tls(s);
		return;
	}
	session_agree_to_tls(s);
	start(s, tls);
}

static void
encrypt_at_once(struct session *s)
{
	struct tls *tls = prepare(s);

	if (!tls)
		_exit(1);
	start(s, tls);
}

bool
encrypt_begin(struct session *s)
{
	if (handover_take(s)) {
		encrypt_session(s);
		return false;
	}
	if (s->client.tls_at_once && !s->client.tlsd)
		encrypt_at_once(s);
	return true;
}
