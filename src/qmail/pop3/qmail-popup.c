/*
 * qmail-popup HOST CHECKER [ARG...]: the AUTHORIZATION state of POP3 (RFC 1939) on
 * descriptors 0 and 1. USER and PASS go to the checker, which executes the next program.
 *
 * APOP is not there: it needs passwords stored in the clear.
 */
#include "lib/checker.h"
#include "lib/clock.h"
#include "lib/controls.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/login.h"
#include "lib/logword.h"
#include "lib/tlsclient.h"
#include "pop3/session.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT 120 /* seconds for one line */
#define COMMANDS_MAX 50

struct session {
	struct pop3_session client;
	char in_buffer[1]; /* what is sent behind PASS is for the next program */
	char out_buffer[1024];
	struct str user, password;
	const char *host;
	char **checker;
};

static struct session session = {
    .user = STR_INIT,
    .password = STR_INIT,
};

static void
reply(struct session *s, const char *text)
{
	pop3_reply(&s->client, text);
}

static void __attribute__((noreturn)) end(struct session *s, const char *last, int code)
{
	if (last)
		reply(s, last);
	out_flush(&s->client.out);
	explicit_bzero(s->client.line.s, s->client.line.cap);
	explicit_bzero(s->password.s, s->password.cap);
	str_free(&s->client.line);
	str_free(&s->user);
	str_free(&s->password);
	exit(code);
}

static void
note(const struct session *s, const char *what)
{
	const char *ip = getenv("TCPREMOTEIP");
	struct str user = STR_INIT;

	log_add_word(&user, s->user.s, s->user.len);
	say("qmail-popup %ld %s: auth: user %s %s\n", (long)getpid(), ip && *ip ? ip : "unknown",
	    user.s, what);
	str_free(&user);
}

/* A wrong password is answered late, so that trying many takes long. */
static void
wait_a_while(struct session *s)
{
	unsigned long seconds = 5;

	if (home_enter())
		controls_number("authdelay", &seconds);
	if (!chan_pause(&s->client.chan, seconds))
		end(s, NULL, 1); /* it has hung up, and holds no place meanwhile */
}

/* Who is slow holds a place, so the time up to the log-in is one, whatever is said meanwhile. The
 * checker starts from here, so the way to the control files leads back. */
static void
set_deadline(struct session *s)
{
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned long seconds;

	if (here < 0 || !home_enter() || !controls_number("timeoutlogin", &seconds) ||
	    fchdir(here) < 0)
		end(s, "-ERR [SYS/TEMP] unable to read controls", 1);
	close(here);
	s->client.chan.deadline = clock_after(seconds);
}

/* The user as an account. The checker's program starts from here, so the way home leads back. */
static bool
find_account(struct session *s)
{
	struct str account = STR_INIT;
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool known = here >= 0 && home_enter() && login_account(&s->user, &account);

	known = known && fchdir(here) == 0;
	if (here >= 0)
		close(here);
	if (known)
		str_set_str(&s->user, &account);
	str_free(&account);
	return known;
}

static enum checker
check(struct session *s, struct checker_run *run)
{
	if (str_has_nul(&s->user) || str_has_nul(&s->password))
		return CHECKER_NO;
	if (!find_account(s))
		return CHECKER_TROUBLE;
	run->user = s->user.s;
	run->password = s->password.s;
	return checker_run(run);
}

static void __attribute__((noreturn)) log_in(struct session *s)
{
	struct str timestamp = STR_INIT;
	struct checker_run run = {.arguments = s->checker};
	enum checker result;

	str_addf(&timestamp, "<%ld.%lld@%.100s>", (long)getpid(), (long long)time(NULL), s->host);
	run.timestamp = timestamp.s;
	if (!out_flush(&s->client.out))
		end(s, NULL, 1);
	result = check(s, &run);
	str_free(&timestamp);
	switch (result) {
	case CHECKER_YES: end(s, NULL, 0);
	case CHECKER_NO:
		note(s, "refused");
		wait_a_while(s);
		end(s, "-ERR [AUTH] authorization failed", 1);
	case CHECKER_TROUBLE: break;
	}
	/* Too many guesses, too, are told in this way: RFC 3206 section 4. */
	note(s, "not checked: the checker could not be run, or failed");
	wait_a_while(s);
	end(s, "-ERR [SYS/TEMP] the password can't be checked now", 1);
}

static void
capabilities(struct session *s)
{
	static const char *const lines[] = {"+OK", "USER", "TOP", "UIDL", "PIPELINING",
	    "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "IMPLEMENTATION qmail-popup", NULL};

	pop3_reply_lines(&s->client, lines);
}

static void
obey(struct session *s, const struct pop3_command *command)
{
	switch (command->verb) {
	case POP3_USER:
		str_set_bytes(&s->user, command->text, command->text_len);
		reply(s, s->user.len ? "+OK" : "-ERR who?");
		break;
	case POP3_PASS:
		if (!s->user.len) {
			reply(s, "-ERR USER first");
			break;
		}
		str_set_bytes(&s->password, command->text, command->text_len);
		log_in(s);
	case POP3_CAPA: capabilities(s); break;
	case POP3_QUIT: end(s, "+OK", 0);
	default: reply(s, "-ERR authorization first"); break;
	}
}

/* TLS from the first byte, where TLSD names the socket of a qmail-tlsd that is to encrypt for us.
 */
static void
encrypt(struct session *s)
{
	const char *tlsd = getenv("TLSD"), *ip = getenv("TCPREMOTEIP");
	long long left = s->client.chan.deadline - clock_ms();
	struct str error = STR_INIT;
	struct tlsclient tls;
	int fd;

	if (!tlsd || !*tlsd)
		return;
	if (left > TIMEOUT * 1000LL)
		left = TIMEOUT * 1000LL;
	fd = tlsclient_open(tlsd, &error);
	if (fd < 0 || !tlsclient_start(fd, left > 0 ? left : 0, &tls, &error)) {
		say("qmail-popup %ld %s: ended: %s\n", (long)getpid(), ip && *ip ? ip : "unknown",
		    error.s);
		_exit(1);
	}
	str_free(&error);
}

int
main(int argc, char **argv)
{
	struct session *s = &session;
	struct pop3_command command;

	process_closed();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	descriptors_tidy();
	if (argc < 3) {
		say("qmail-popup: usage: qmail-popup host checker [argument ...]\n");
		return 100;
	}
	s->host = argv[1];
	s->checker = argv + 2;
	s->client.chan.timeout = TIMEOUT;
	pop3_open(
	    &s->client, s->in_buffer, sizeof s->in_buffer, s->out_buffer, sizeof s->out_buffer);
	set_deadline(s);
	encrypt(s);
	out_text(&s->client.out, "+OK ");
	out_text(&s->client.out, s->host);
	reply(s, " POP3");
	while (pop3_next(&s->client, COMMANDS_MAX, &command))
		obey(s, &command);
	end(s, NULL, 1);
}
