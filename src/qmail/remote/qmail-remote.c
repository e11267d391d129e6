/*
 * qmail-remote host sender recipient...: sends the message on descriptor 0 by SMTP and says
 * on descriptor 1 what became of it. See qmail-remote(8).
 *
 * It is one attempt: the addresses of the host are tried in turn until a server has taken
 * the matter into its hands, for better or worse. It always exits 0; the report tells.
 */
#include "lib/bio.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/idn.h"
#include "lib/mem.h"
#include "lib/queuefs.h"
#include "lib/tcpto.h"
#include "remote/forwarded.h"
#include "remote/policy.h"
#include "remote/session.h"

#include "lib/clock.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCPTO "queue/" QUEUE_TCPTO
#define SMTP_PORT 25
#define GRACE 10 /* seconds that everything may take beyond timeoutattempt */

static struct report report = REPORT_INIT;
/* The last address that no connection was made to, and why, where the system says so. */
static struct {
	bool tried;
	struct netip ip;
	unsigned port;
	int error;
} unreached;

/* Ends the program with the report. */
static void __attribute__((noreturn)) finish(void)
{
	alarm(0);
	report_write(&report);
	_exit(0);
}

static void __attribute__((noreturn)) out_of_memory(void)
{
	static const char text[] = "ZOut of memory. (#4.3.0)\n";

	if (write(1, text, sizeof text) < 0)
		_exit(0);
	_exit(0);
}

/* The last resort, should anything get past the limits of connection.h. */
static void
out_of_time(int signal_number)
{
	static const char text[] = "ZThe attempt took longer than timeoutattempt. (#4.4.2)\n";

	(void)signal_number;
	if (write(1, text, sizeof text) < 0)
		_exit(0);
	_exit(0);
}

static void __attribute__((noreturn)) own_trouble(const char *what, const char *name)
{
	report_message(&report, MESSAGE_LATER, "%s%s: %s. (#4.3.0)\n", what, name,
	    errno ? strerror(errno) : "does not exist");
	finish();
}

/* The host as the DNS knows it. */
static const char *
host_name(const char *given)
{
	static struct str host = STR_INIT;

	switch (idn_to_ascii(&host, given)) {
	case IDN_OK: return host.s;
	case IDN_INVALID:
		report_message(&report, MESSAGE_REFUSED,
		    "Sorry, the host has a name that can't be one in the DNS. (#5.1.2)\n");
		finish();
	default:
		report_message(&report, MESSAGE_LATER,
		    "The host's name has letters beyond ASCII, and libidn2 can't be loaded. "
		    "(#4.3.5)\n");
		finish();
	}
}

static void
find_route(struct route *route, const struct settings *settings, const char *host)
{
	const char *line;

	if (route_find(route, &settings->smtproutes, host, SMTP_PORT, &line))
		return;
	report_message(&report, MESSAGE_LATER,
	    "control/smtproutes: \"%s\" is neither RELAY nor RELAY:PORT. (#4.3.5)\n", line);
	finish();
}

static bool
connect_to(struct connection *connection, const struct settings *settings,
    const struct target *target, long long end)
{
	size_t family = netip_is_v4(&target->ip) ? 0 : 1;
	const struct netip *from = settings->has_from[family] ? &settings->from[family] : NULL;
	bool open;

	errno = 0;
	connection->patience = (unsigned)settings->timeoutremote;
	open = connection_open(
	    connection, &target->ip, target->port, from, (unsigned)settings->timeoutconnect, end);
	if (!open) {
		unreached.tried = true;
		unreached.ip = target->ip;
		unreached.port = target->port;
		unreached.error = errno;
	}
	tcpto_note(TCPTO, &target->ip, !open && unreached.error == ETIMEDOUT && clock_ms() < end,
	    time(NULL));
	return open;
}

static void
say_no_connection(const struct targets *targets, size_t rested)
{
	if (rested == targets->count) {
		report_message(&report, MESSAGE_LATER,
		    "No address of that host was tried, since they all timed out recently; see "
		    "qmail-tcpto. (#4.4.1)\n");
		return;
	}
	report_message(&report, MESSAGE_LATER,
	    "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n");
	if (!unreached.tried)
		return;
	netip_add(&report.text, &unreached.ip);
	str_addf(&report.text, " port %u was tried last", unreached.port);
	if (unreached.error)
		str_addf(&report.text, ": %s", strerror(unreached.error));
	str_add(&report.text, ".\n");
}

/* One server, and once more in the clear where TLS broke without being a duty. */
static enum session_end
try_server(
    const struct job *job, const struct target *target, struct security *security, long long end)
{
	static struct connection connection;
	enum session_end how;

	do {
		if (!connect_to(&connection, job->settings, target, end))
			return SESSION_NEXT;
		how = session(job, target, security, &connection);
		connection_close(&connection);
		security->level = SECURITY_CLEAR;
	} while (how == SESSION_CLEAR);
	return how;
}

/* A refusal at the door is one of the host only where it came at every door. */
static void
conclude(const struct targets *targets, size_t rested, size_t refused)
{
	if (!report.letter)
		say_no_connection(targets, rested);
	if (report.letter != MESSAGE_REFUSED || refused == targets->count)
		return;
	report.letter = MESSAGE_LATER;
	str_add(
	    &report.text, "Other addresses of that host could not be asked; I will try again.\n");
}

/* One address: true where its server has taken the matter into its hands. */
static bool
try_target(const struct job *job, struct policy *policy, struct security *security,
    const struct targets *targets, const struct target *target, long long end)
{
	bool done;

	if (!policy_apply(policy, security, job, targets, target, end)) {
		policy_tell(policy, job, target);
		return false;
	}
	done = try_server(job, target, security, end) == SESSION_DONE;
	policy_tell(policy, job, target);
	return done;
}

static void
attempt(const struct job *job, const struct targets *targets, long long end)
{
	struct security security = SECURITY_INIT;
	struct policy policy = POLICY_INIT;
	struct str problem = STR_INIT;
	size_t i, rested = 0, refused = 0;

	if (!security_credentials(&security, job->route, &problem)) {
		report_message(&report, MESSAGE_LATER, "%s. (#4.3.5)\n", problem.s);
		finish();
	}
	for (i = 0; i < targets->count && clock_ms() < end; i++) {
		const struct target *target = &targets->items[i];
		char before = report.letter;

		if (tcpto_resting(TCPTO, &target->ip, time(NULL))) {
			rested++;
			continue;
		}
		report.letter = 0;
		if (try_target(job, &policy, &security, targets, target, end))
			return;
		if (report.letter == MESSAGE_REFUSED)
			refused++;
		if (!report.letter) /* no connection: what the one before said is still there */
			report.letter = before;
	}
	conclude(targets, rested, refused);
}

int
main(int argc, char **argv)
{
	static struct targets targets;
	static struct outcome outcome = OUTCOME_INIT;
	struct settings settings;
	struct message message;
	struct route route = ROUTE_INIT;
	struct str sender = STR_INIT;
	struct job job;
	const char *name, *host;
	long long end;

	process_closed();
	mem_exhausted = out_of_memory;
	signal(SIGPIPE, SIG_IGN);
	errno = 0;
	if (geteuid() == 0 && !identity_become_named(IDENTITY_REMOTE, GROUP_QUEUE))
		own_trouble("Becoming the user ", identity_names[IDENTITY_REMOTE]);
	if (!home_enter())
		own_trouble("Going to ", home());
	if (argc < 4) {
		report_message(&report, MESSAGE_REFUSED,
		    "qmail-remote was not given a host, a sender and recipients. (#5.3.5)\n");
		finish();
	}
	if (!settings_load(&settings, &name))
		own_trouble("control/", name);
	end = clock_after(settings.timeoutattempt);
	signal(SIGALRM, out_of_time);
	alarm((unsigned)settings.timeoutattempt + GRACE);
	if (!message_inspect(&message))
		own_trouble("Reading the message", "");
	host = host_name(argv[1]);
	if (!forwarded_sender(&sender, argv[2], host, &name))
		own_trouble("control/", name);
	find_route(&route, &settings, host);
	job = (struct job){.settings = &settings,
	    .host = host,
	    .route = &route,
	    .outcome = &outcome,
	    .message = &message,
	    .sender = sender.s,
	    .recipients = argv + 3,
	    .recipient_count = (size_t)argc - 3,
	    .report = &report};
	if (targets_find(&targets, host, &route, &settings, end, &report))
		attempt(&job, &targets, end);
	finish();
}
