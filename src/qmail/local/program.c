/* Delivery to a program: see program.h. */
#include "local/program.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

int
program_run(const char *file, char *const arguments[], char **environment)
{
	posix_spawnattr_t attributes;
	int error, status;
	pid_t pid;

	posix_spawnattr_init(&attributes);
	set_signals(&attributes);
	error = posix_spawnp(&pid, file, NULL, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	if (error) {
		report("Can't run %s: %s. (#4.3.0)", file, strerror(error));
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			report("Can't wait for %s: %s. (#4.3.0)", file, strerror(errno));
			return -1;
		}
	}
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
