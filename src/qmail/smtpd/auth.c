/* AUTH: see auth.h. */
#include "smtpd/auth.h"

#include "lib/base64.h"
#include "lib/checker.h"
#include "lib/login.h"
#include "smtpd/plain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What was said, what it stands for; wiped when the exchange is over. */
struct exchange {
	struct str response, identity, user, password;
	const char *mechanism;
};

bool
auth_offered(const struct session *s)
{
	return s->checker && session_encrypted(s);
}

size_t
auth_line_max(const struct session *s)
{
	if (auth_offered(s) && !session_authenticated(s) &&
	    s->config.command_length < AUTH_LINE_MAX)
		return AUTH_LINE_MAX;
	return s->config.command_length;
}

static void
wipe(struct str *secret)
{
	explicit_bzero(secret->s, secret->cap);
	str_free(secret);
}

static bool
decode(struct session *s, struct str *to, const char *text, size_t len)
{
	if (base64_decode(to, text, len))
		return true;
	reply(s, "501 malformed auth input (#5.5.4)");
	return false;
}

/* Prompts and reads one response; false when it was cancelled or is none, and replied to. */
static bool
prompt(struct session *s, const char *text, struct str *response)
{
	reply(s, "334 %s", text);
	if (!session_line(s, auth_line_max(s)))
		return false;
	if (str_equal(&s->line, "*")) {
		reply(s, "501 auth exchange cancelled (#5.0.0)");
		return false;
	}
	return decode(s, response, s->line.s, s->line.len);
}

/* The initial response, or the answer to a prompt. A lone = is an empty initial response. */
static bool
first_response(
    struct session *s, const char *initial, size_t len, const char *text, struct str *response)
{
	if (!len)
		return prompt(s, text, response);
	if (len == 1 && *initial == '=')
		len = 0;
	return decode(s, response, initial, len);
}

static bool
plain(struct session *s, const char *initial, size_t len, struct exchange *x)
{
	if (!first_response(s, initial, len, "", &x->response))
		return false;
	if (plain_parse(&x->response, &x->identity, &x->user, &x->password))
		return true;
	reply(s, "501 malformed auth input (#5.5.4)");
	return false;
}

static bool
login(struct session *s, const char *initial, size_t len, struct exchange *x)
{
	if (!first_response(s, initial, len, "VXNlcm5hbWU6", &x->user) ||
	    !prompt(s, "UGFzc3dvcmQ6", &x->password))
		return false;
	if (x->user.len && x->password.len && !str_has_nul(&x->user) && !str_has_nul(&x->password))
		return true;
	reply(s, "501 malformed auth input (#5.5.4)");
	return false;
}

/* The name goes into the environment and the Received field. */
static bool
sound_name(const struct str *user)
{
	size_t i;

	for (i = 0; i < user->len; i++)
		if ((unsigned char)user->s[i] < 32 || user->s[i] == 127)
			return false;
	return true;
}

static enum checker
check(const struct session *s, const struct exchange *x)
{
	const struct checker_run run = {
	    .arguments = s->checker,
	    .user = x->user.s,
	    .password = x->password.s,
	    .timestamp = "smtp",
	    .apart = true,
	    .timeout = (unsigned)s->config.auth_timeout,
	};

	/* Nobody acts for another one here, and whoever asks for that isn't told more. */
	if (!sound_name(&x->user) || (x->identity.len && !str_equal_str(&x->identity, &x->user)))
		return CHECKER_NO;
	return checker_run(&run);
}

/* The answer comes the later the more often it was wrong, and not for ever. */
static void
refuse(struct session *s, const struct exchange *x)
{
	s->auth_failures++;
	note(s, "auth: user %s refused (%s)", word(&x->user), x->mechanism);
	sleep((unsigned)(s->config.auth_delay * s->auth_failures));
	reply(s, "535 authorization failed (#5.7.8)");
	if (s->auth_failures < s->config.auth_failures)
		return;
	note(s, "ended: too many failed log-ins");
	session_abort(s, "421 too many failed log-ins (#4.7.0)");
}

/* Both names as accounts; false where that can't be known. */
static bool
find_account(struct exchange *x)
{
	struct str account = STR_INIT;
	bool known = login_account(&x->user, &account);

	if (known)
		str_set_str(&x->user, &account);
	known = known && login_account(&x->identity, &account);
	if (known)
		str_set_str(&x->identity, &account);
	str_free(&account);
	return known;
}

static void
judge(struct session *s, struct exchange *x)
{
	switch (find_account(x) ? check(s, x) : CHECKER_TROUBLE) {
	case CHECKER_YES:
		str_set_str(&s->user, &x->user);
		setenv("TCPREMOTEINFO", s->user.s, 1);
		note(s, "auth: user %s accepted (%s)", word(&s->user), x->mechanism);
		reply(s, "235 ok, go ahead (#2.7.0)");
		break;
	case CHECKER_NO: refuse(s, x); break;
	case CHECKER_TROUBLE:
		note(s, "auth: user %s not checked (%s): the checker could not be run, or failed",
		    word(&x->user), x->mechanism);
		reply(s, "454 temporary authentication failure (#4.7.0)");
		break;
	}
}

/* What stands against AUTH now; NULL for nothing. */
static const char *
objection(const struct session *s, size_t argument_len)
{
	if (!s->checker)
		return "503 auth not available (#5.3.3)";
	if (!session_encrypted(s))
		return "538 encryption required for auth (#5.7.11)";
	if (!s->greeted)
		return "503 HELO or EHLO first (#5.5.1)";
	if (session_authenticated(s))
		return "503 you're already authenticated (#5.5.1)";
	if (s->transaction)
		return "503 no auth during mail transaction (#5.5.1)";
	return argument_len ? NULL : "501 which mechanism? (#5.5.4)";
}

void
auth_command(struct session *s, const char *argument, size_t len)
{
	struct exchange x = {STR_INIT, STR_INIT, STR_INIT, STR_INIT, NULL};
	const char *text = objection(s, len), *initial;
	size_t word = 0, initial_len;
	bool complete = false;

	if (text) {
		reply(s, "%s", text);
		return;
	}
	while (word < len && argument[word] != ' ')
		word++;
	for (initial = argument + word; initial < argument + len && *initial == ' '; initial++)
		continue;
	initial_len = (size_t)(argument + len - initial);
	if (word_is(argument, word, "PLAIN")) {
		x.mechanism = "PLAIN";
		complete = plain(s, initial, initial_len, &x);
	} else if (word_is(argument, word, "LOGIN")) {
		x.mechanism = "LOGIN";
		complete = login(s, initial, initial_len, &x);
	} else {
		reply(s, "504 auth type unimplemented (#5.5.1)");
	}
	if (complete)
		judge(s, &x);
	wipe(&x.response);
	wipe(&x.identity);
	wipe(&x.user);
	wipe(&x.password);
	wipe(&s->line);
	explicit_bzero(s->in_buffer, s->in.at);
}
