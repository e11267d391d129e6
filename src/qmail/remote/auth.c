/*
 * Who we are to a relay (RFC 4954): PLAIN, else LOGIN. security.h sees to it that this
 * happens only inside verified TLS. Passwords are not in reports: only replies are. A refused
 * password is a temporary failure, since it is this site that must repair it.
 */
#include "lib/base64.h"
#include "lib/mem.h"
#include "remote/dialogue.h"

#include <string.h>

static void
wipe(struct str *secret)
{
	if (secret->cap)
		explicit_bzero(secret->s, secret->cap);
	str_clear(secret);
}

static bool
refused(struct session *s)
{
	return end_with(s, MESSAGE_LATER, SESSION_DONE,
	    "does not accept what control/smtproutes_auth has for it. (#4.7.8)");
}

/* Sends text in base64 behind a prefix; true when the reply has the wanted code. */
static bool
give(struct session *s, const char *prefix, const struct str *text, unsigned wanted)
{
	bool alive;

	/* Room first, so that growth leaves no copy behind. */
	str_clear(&s->command);
	str_reserve(&s->command, strlen(prefix) + text->len * 2 + 8);
	str_add(&s->command, prefix);
	base64_encode(&s->command, text->s, text->len);
	alive = ask(s, SESSION_DONE, "at AUTH");
	wipe(&s->command);
	explicit_bzero(s->connection->out_buffer, sizeof s->connection->out_buffer);
	if (!alive)
		return false;
	return s->reply.code == wanted || refused(s);
}

static bool
plain(struct session *s)
{
	const struct security *security = s->security;
	struct str response = STR_INIT;
	bool done;

	str_reserve(&response, security->user.len + security->password.len + 2);
	str_add_char(&response, 0);
	str_add_str(&response, &security->user);
	str_add_char(&response, 0);
	str_add_str(&response, &security->password);
	done = give(s, "AUTH PLAIN ", &response, 235);
	wipe(&response);
	str_free(&response);
	return done;
}

static bool
login(struct session *s)
{
	str_set(&s->command, "AUTH LOGIN");
	if (!ask(s, SESSION_DONE, "at AUTH"))
		return false;
	if (s->reply.code != 334)
		return refused(s);
	return give(s, "", &s->security->user, 334) && give(s, "", &s->security->password, 235);
}

bool
authenticate(struct session *s)
{
	if (!s->security->authenticate)
		return true;
	if (s->offers.auth_plain)
		return plain(s);
	if (s->offers.auth_login)
		return login(s);
	return end_later(
	    s, SESSION_DONE, "offers neither AUTH PLAIN nor AUTH LOGIN inside TLS. (#4.7.0)", "");
}
