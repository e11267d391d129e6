/* Password checkers: see checker.h. */
#include "lib/checker.h"

#include "lib/bio.h"
#include "lib/clock.h"
#include "lib/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CREDENTIALS_FD 3

/* The three fields in one block; false where they break the interface. */
static bool
compose(struct str *input, const struct checker_run *run)
{
	if (!*run->user || !*run->password)
		return false;
	if (strlen(run->user) + strlen(run->password) + strlen(run->timestamp) + 3 >
	    CHECKER_INPUT_MAX)
		return false;
	str_reserve(input, CHECKER_INPUT_MAX);
	str_add_bytes(input, run->user, strlen(run->user) + 1);
	str_add_bytes(input, run->password, strlen(run->password) + 1);
	str_add_bytes(input, run->timestamp, strlen(run->timestamp) + 1);
	return true;
}

/* A pipe that holds the credentials (they fit, by their limit): its reading end, above 3. */
static int
credentials_pipe(const struct str *input)
{
	int ends[2], reading = -1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	if (fd_write_all(ends[1], input->s, input->len))
		reading = fcntl(ends[0], F_DUPFD_CLOEXEC, CREDENTIALS_FD + 1);
	close(ends[0]);
	close(ends[1]);
	return reading;
}

static bool
passed_on(const char *variable)
{
	return !strncmp(variable, "PATH=", 5) || !strncmp(variable, "TCP", 3) ||
	       !strncmp(variable, "PROTO=", 6) || !strncmp(variable, "AUTHSERVICE=", 12);
}

static char **
reduced_environment(void)
{
	size_t count = 0, kept = 0, i;
	char **reduced;

	while (environ[count])
		count++;
	reduced = mem_array(count + 1, sizeof *reduced);
	for (i = 0; i < count; i++)
		if (passed_on(environ[i]))
			reduced[kept++] = environ[i];
	return reduced;
}

static int
start(pid_t *pid, int credentials, const struct checker_run *run)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t normal;
	char **reduced = run->apart ? reduced_environment() : NULL;
	int error;

	sigemptyset(&normal);
	sigaddset(&normal, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &normal);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, credentials, CREDENTIALS_FD);
	if (run->apart) {
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
		posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
		posix_spawnattr_setpgroup(&attributes, 0);
		posix_spawnattr_setflags(
		    &attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	} else {
		posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	}
	error = posix_spawnp(pid, run->arguments[0], &actions, &attributes, run->arguments,
	    reduced ? reduced : environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	free(reduced);
	return error;
}

static bool
ended_in_time(pid_t pid, unsigned timeout)
{
	int handle;
	bool ended;

	if (!timeout)
		return true;
	handle = (int)syscall(SYS_pidfd_open, pid, 0);
	ended = handle >= 0 && fd_wait(handle, POLLIN, timeout) > 0;
	if (handle >= 0)
		close(handle);
	return ended;
}

static enum checker
verdict(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CHECKER_TROUBLE;
	if (!WIFEXITED(status))
		return CHECKER_TROUBLE;
	switch (WEXITSTATUS(status)) {
	case 0: return CHECKER_YES;
	case 1: return CHECKER_NO;
	default: return CHECKER_TROUBLE;
	}
}

static enum checker
ask(const struct checker_run *run, struct str *input)
{
	int credentials = credentials_pipe(input), error;
	pid_t pid;

	explicit_bzero(input->s, input->len);
	explicit_bzero(run->password, strlen(run->password));
	if (credentials < 0)
		return CHECKER_TROUBLE;
	error = start(&pid, credentials, run);
	close(credentials);
	if (error)
		return CHECKER_TROUBLE;
	if (ended_in_time(pid, run->timeout))
		return verdict(pid);
	/* A process that may not be killed has become another user's: not waited for either. */
	if (kill(-pid, SIGKILL) == 0 || kill(pid, SIGKILL) == 0)
		verdict(pid);
	return CHECKER_TROUBLE;
}

enum checker
checker_run(const struct checker_run *run)
{
	struct str input = STR_INIT;
	enum checker result = CHECKER_NO;

	if (compose(&input, run))
		result = ask(run, &input);
	str_free(&input);
	return result;
}
