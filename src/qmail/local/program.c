/* Delivery to a program: see program.h. */
#include "local/program.h"

#include "lib/clock.h"
#include "lib/family.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef QMAIL_TESTABLE
enum { GRACE = 500, FAREWELL = 5000 };
#else
enum {
	GRACE = 10000,
	FAREWELL = 5000
}; /* milliseconds from TERM to KILL, and from there to the end */
#endif

static unsigned limit;          /* seconds; 0: none */
static long long allowance;     /* milliseconds of it that are left */
static unsigned long processes; /* of the user; 0: any number */

void
program_limit(unsigned seconds)
{
	limit = seconds;
	allowance = seconds * 1000LL;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void
program_limit_processes(unsigned long count)
{
	processes = count;
}

/* The bounds are the kernel's, and go on with whatever the program leaves behind. */
static void
bound_processes(void)
{
	struct rlimit bound;

	if (!processes || getrlimit(RLIMIT_NPROC, &bound) < 0 || bound.rlim_max <= processes)
		return;
	bound.rlim_cur = bound.rlim_max = processes;
	setrlimit(RLIMIT_NPROC, &bound);
}

/* What we ignore or catch, the program must find as usual. */
static void
set_signals(posix_spawnattr_t *attributes)
{
	sigset_t usual, none;

	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGALRM);
	sigaddset(&usual, SIGPIPE);
	sigaddset(&usual, SIGXFSZ);
	posix_spawnattr_setsigdefault(attributes, &usual);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

/* Held back, a child's signal is kept for sigtimedwait. */
static void
hold_child_signal(int how)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(how, &child, NULL);
}

/*
 * Waits for children, orphans of the program's among them, until the program (or, with pid 0, each
 * of them) has ended; false when that takes longer than end.
 */
static bool
wait_for(pid_t pid, int *status, long long end)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		struct timespec wait;
		long long left = end - clock_ms();
		int how = 0;
		pid_t got = waitpid(-1, &how, WNOHANG);

		if (got < 0 && errno == ECHILD)
			return true;
		if (got > 0 && got == pid) {
			*status = how;
			return true;
		}
		if (left <= 0)
			return false;
		if (got > 0)
			continue;
		wait = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		sigtimedwait(&child, NULL, &wait);
	}
}

/* The program and everything that it has started, in whatever session and group that is. */
static void
end_family(void)
{
	long long end;
	int status;

	family_signal(getpid(), SIGTERM);
	if (wait_for(0, &status, clock_ms() + GRACE))
		return;
	end = clock_ms() + FAREWELL;
	while (family_signal(getpid(), SIGKILL) && !wait_for(0, &status, clock_ms() + 50) &&
	       clock_ms() < end)
		;
}

/* False, with a report, when the program had to be ended. */
static bool
wait_within_limit(pid_t pid, int *status)
{
	long long begin = clock_ms();
	bool ended = wait_for(pid, status, begin + allowance);

	allowance -= clock_ms() - begin;
	if (allowance < 0)
		allowance = 0;
	if (ended)
		return true;
	end_family();
	report(
	    "Programs of this delivery took longer than the %u seconds of control/timeoutprogram "
	    "and were ended. (#4.3.0)",
	    limit);
	return false;
}

static bool
wait_without_limit(pid_t pid, const char *file, int *status)
{
	while (waitpid(pid, status, 0) < 0) {
		if (errno != EINTR) {
			report("Can't wait for %s: %s. (#4.3.0)", file, strerror(errno));
			return false;
		}
	}
	return true;
}

int
program_run(const char *file, char *const arguments[], char **environment)
{
	posix_spawnattr_t attributes;
	int error, status = -1;
	bool waited;
	pid_t pid;

	bound_processes();
	hold_child_signal(SIG_BLOCK);
	posix_spawnattr_init(&attributes);
	set_signals(&attributes);
	error = posix_spawnp(&pid, file, NULL, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	if (error) {
		hold_child_signal(SIG_UNBLOCK);
		if (error == EAGAIN && processes)
			report("Can't run %s: its user has the %lu processes of "
			       "control/processesuser, or the host has no more. (#4.3.0)",
			    file, processes);
		else
			report("Can't run %s: %s. (#4.3.0)", file, strerror(error));
		return -1;
	}
	waited = limit ? wait_within_limit(pid, &status) : wait_without_limit(pid, file, &status);
	hold_child_signal(SIG_UNBLOCK);
	if (!waited)
		return -1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	report("%s ended by signal %d. (#4.3.0)", file, WTERMSIG(status));
	return -1;
}

enum outcome
program_deliver(const char *command, char **environment)
{
	char shell[] = "sh", option[] = "-c";
	char *const arguments[] = {shell, option, (char *)(unsigned long)command, NULL};
	int code;

	if (lseek(0, 0, SEEK_SET) < 0) {
		report("Can't go back to the start of the message: %s. (#4.3.0)", strerror(errno));
		return OUTCOME_LATER;
	}
	code = program_run("/bin/sh", arguments, environment);
	return code < 0 ? OUTCOME_LATER : outcome_of_exit(code);
}
