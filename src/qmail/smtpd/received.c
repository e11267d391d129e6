/* The Received field: see received.h. */
#include "smtpd/received.h"

#include "lib/tls.h"
#include "lib/when.h"

#include <string.h>

static void
add_safe(struct str *to, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789.@%+/=:-_[]";

	for (; *text; text++)
		str_add_char(to, strchr(plain, *text) ? *text : '?');
}

static void
add_protocol(struct str *to, const struct session *s)
{
	bool encrypted = session_encrypted(s), authenticated = session_authenticated(s);

	str_add(to, s->extended || encrypted || authenticated ? "ESMTP" : "SMTP");
	if (encrypted)
		str_add_char(to, 'S');
	if (authenticated)
		str_add_char(to, 'A');
	if (s->chan.tls) {
		str_add(to, " (");
		add_safe(to, tls_protocol(s->chan.tls));
		str_add_char(to, ' ');
		add_safe(to, tls_cipher(s->chan.tls));
		str_add_char(to, ')');
	} else if (s->client.front) {
		str_add(to, " (TLS by ");
		add_safe(to, s->client.front);
		str_add_char(to, ')');
	}
}

void
received_add(struct str *to, const struct session *s, time_t when)
{
	const char *info = session_authenticated(s) ? s->user.s : s->client.info;

	str_add(to, "Received: from ");
	add_safe(to, s->client.host);
	if (s->greeted && !str_equal_nocase(&s->helo, s->client.host)) {
		str_add(to, " (HELO ");
		add_safe(to, s->helo.s);
		str_add_char(to, ')');
	}
	str_add(to, " (");
	if (*info) {
		add_safe(to, info);
		str_add_char(to, '@');
	}
	add_safe(to, s->client.ip);
	str_add(to, ")\n  by ");
	add_safe(to, s->client.local);
	str_add(to, " with ");
	add_protocol(to, s);
	str_add(to, "; ");
	when_822(to, when);
	str_add_char(to, '\n');
}
