/* STARTTLS (RFC 3207): see starttls.h. */
#include "smtpd/starttls.h"

#include "smtpd/encrypt.h"
#include "smtpd/resident.h"

#include <unistd.h>

bool
starttls_offered(const struct session *s)
{
	if (session_encrypted(s))
		return false;
	if (s->client.tlsd)
		return access(s->client.tlsd, W_OK) == 0;
	return access(session_certificate(s), R_OK) == 0;
}

void
starttls_command(struct session *s, size_t argument_len)
{
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
	if (s->client.tlsd)
		resident_session(s);
	else
		encrypt_session(s);
}
