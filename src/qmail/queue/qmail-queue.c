/*
 * qmail-queue: puts one message into the queue. Message on descriptor 0, envelope on 1, the
 * answer is the exit code: see qmail-queue(8).
 *
 * Runs setuid to the owner of the queue, so whatever it inherits is hostile. Memory is
 * constant, whatever the size of the message and the number of its recipients.
 *
 * What it does in which order, and what is on disk when: see entry.h.
 */
#include "lib/bio.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/journal.h"
#include "lib/mem.h"
#include "queue/entry.h"
#include "queue/envelope.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LIFETIME 86400 /* seconds; the clean-up takes files for abandoned after 36 hours */

static struct entry own;
static char buffer[65536], intd_buffer[8192];

static _Noreturn void
finish(enum code code)
{
	entry_undo(&own);
	_exit((int)code);
}

static void
too_slow(int signal_number)
{
	(void)signal_number;
	finish(CODE_TIMEOUT);
}

static void
no_memory(void)
{
	finish(CODE_MEMORY);
}

/* Signals that the invoker has blocked, ignored, or may send; limits on the file size. */
static void
settle_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2,
	    SIGXFSZ, SIGXCPU, SIGVTALRM, SIGPROF, SIGIO, SIGTSTP, SIGTTIN, SIGTTOU};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, slow = {.sa_handler = too_slow};
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof ignored / sizeof *ignored; i++)
		sigaction(ignored[i], &ignore, NULL);
	sigaction(SIGALRM, &slow, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(LIFETIME);
}

/* Who brings the message, as the Received line says it. */
static void
describe_caller(uid_t uid, char *text, size_t size)
{
	static const struct {
		enum identity who;
		const char *text;
	} known[] = {{IDENTITY_DAEMON, "from network"}, {IDENTITY_ALIAS, "by alias"},
	    {IDENTITY_SEND, "for bounce"}};
	const struct passwd *entry = getpwuid(uid);
	size_t i;

	snprintf(text, size, "by uid %lu", (unsigned long)uid);
	for (i = 0; entry && i < sizeof known / sizeof *known; i++)
		if (!strcmp(entry->pw_name, identity_names[known[i].who]))
			snprintf(text, size, "%s", known[i].text);
}

static size_t
trace_line(char *to, size_t size, uid_t uid)
{
	char caller[64];
	size_t len;

	describe_caller(uid, caller, sizeof caller);
	len = entry_trace(to, size, (unsigned long)getpid(), caller);
	if (!len)
		finish(CODE_INTERNAL);
	return len;
}

static void
copy_message(int fd, uid_t caller)
{
	size_t have = trace_line(buffer, sizeof buffer, caller);

	for (;;) {
		ssize_t got = fd_read(0, buffer + have, sizeof buffer - have);

		if (got < 0)
			finish(CODE_READ);
		have += (size_t)got;
		if (got == 0 || have == sizeof buffer) {
			if (!fd_write_all(fd, buffer, have))
				finish(CODE_WRITE);
			have = 0;
		}
		if (got == 0)
			return;
	}
}

static void
copy_envelope(struct out *out)
{
	struct envelope envelope = {.state = ENVELOPE_SENDER};

	do {
		ssize_t got = fd_read(1, buffer, sizeof buffer);

		if (got <= 0)
			finish(CODE_READ);
		out_bytes(out, buffer, envelope_feed(&envelope, buffer, (size_t)got));
	} while (envelope.state < ENVELOPE_DONE);
	if (envelope.state == ENVELOPE_LONG)
		finish(CODE_ADDRESS_LONG);
	if (envelope.state == ENVELOPE_MALFORMED)
		finish(CODE_MALFORMED);
}

/* S2 to S3. */
static void
write_intd_file(uid_t caller)
{
	struct out out;

	if (!entry_make_intd(&own))
		finish(own.code);
	out_fd(&out, own.intd, intd_buffer, sizeof intd_buffer);
	out_char(&out, 'u');
	out_number(&out, caller);
	out_bytes(&out, "\0p", 2);
	out_number(&out, (unsigned long)getpid());
	out_char(&out, 0);
	copy_envelope(&out);
	if (!out_flush(&out))
		finish(CODE_WRITE);
}

/* S3 to S4. */
static void
enter_queue(void)
{
	struct entry *const entries[] = {&own};
	bool ordered = journal_orders(own.mess);

	entries_write_out(entries, 1, ordered);
	if (own.code)
		finish(own.code);
	alarm(0);
	entries_enter(entries, 1, ordered);
	finish(own.code);
}

int
main(void)
{
	uid_t caller = getuid(), owner = geteuid();

	process_closed();
	mem_exhausted = no_memory;
	settle_signals();
	umask(022);
	/* Without both, a file opened below could be taken for the message or the envelope. */
	if (!descriptor_given(0) || !descriptor_given(1))
		finish(CODE_READ);
	/* From here on the invoker can't send signals, nor become the owner by a debugger. */
	if (setresuid(owner, owner, owner) < 0)
		finish(CODE_INTERNAL);
	if (!home_enter())
		finish(CODE_HOME);
	if (chdir("queue") < 0)
		finish(CODE_QUEUE);
	if (!entry_make_mess(&own))
		finish(own.code);
	copy_message(own.mess, caller);
	write_intd_file(caller);
	enter_queue();
}
