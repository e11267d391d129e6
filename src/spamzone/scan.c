/* Running the scanner: see scan.h. */
#include "scan.h"

#include "now.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	pid_t pid;
	int handle; /* pidfd */
	int in, out;
	bool ended;
	int status;
};

static void
close_end(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

static bool
start(char **command, struct child *child)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, error = -1;
	posix_spawn_file_actions_t actions;

	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) {
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, in[0], 0);
		posix_spawn_file_actions_adddup2(&actions, out[1], 1);
		error = posix_spawnp(&child->pid, command[0], &actions, NULL, command, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close_end(&in[0]);
	close_end(&out[1]);
	child->in = in[1];
	child->out = out[0];
	if (error) {
		close_end(&child->in);
		close_end(&child->out);
		return false;
	}
	child->handle = (int)syscall(SYS_pidfd_open, child->pid, 0);
	fcntl(child->in, F_SETFL, O_NONBLOCK);
	fcntl(child->out, F_SETFL, O_NONBLOCK);
	return true;
}

/* Writes what the pipe takes; closes it when all is written or nobody reads. */
static void
give(struct child *child, const struct bytes *message, size_t *given)
{
	ssize_t put = write(child->in, message->at + *given, message->length - *given);

	if (put > 0)
		*given += (size_t)put;
	if (*given == message->length || (put < 0 && errno != EAGAIN && errno != EINTR))
		close_end(&child->in);
}

/* False when the answer is longer than max. */
static bool
take(struct child *child, struct bytes *answer, size_t max)
{
	char piece[16384];
	ssize_t got = read(child->out, piece, sizeof piece);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		close_end(&child->out);
	if (got > 0 && (size_t)got > max - answer->length)
		return false;
	if (got > 0)
		bytes_add(answer, piece, (size_t)got);
	return true;
}

static const char *
converse(struct child *child, const struct bytes *message, struct bytes *answer, size_t max,
    unsigned seconds)
{
	long long until = milliseconds() + seconds * 1000LL;
	size_t given = 0;

	if (!message->length)
		close_end(&child->in);
	while (child->out >= 0 || !child->ended) {
		long long left = until - milliseconds();
		struct pollfd wait[3] = {{.fd = child->in, .events = POLLOUT},
		    {.fd = child->out, .events = POLLIN},
		    {.fd = child->ended ? -1 : child->handle, .events = POLLIN}};

		if (left <= 0)
			return "it took too long";
		if (poll(wait, 3, (int)left) < 0 && errno != EINTR)
			return "poll failed";
		if (wait[0].revents)
			give(child, message, &given);
		if (wait[1].revents && !take(child, answer, max))
			return "it said too much";
		if (wait[2].revents && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
			child->ended = true;
	}
	return NULL;
}

int
scan(char **command, const struct bytes *message, struct bytes *answer, size_t max,
    unsigned seconds, const char **why)
{
	struct child child = {.pid = -1};

	if (!start(command, &child)) {
		*why = "it could not be started";
		return -1;
	}
	*why = child.handle < 0 ? "pidfd_open failed"
				: converse(&child, message, answer, max, seconds);
	close_end(&child.in);
	close_end(&child.out);
	close_end(&child.handle);
	if (!child.ended) {
		kill(child.pid, SIGKILL);
		while (waitpid(child.pid, &child.status, 0) < 0 && errno == EINTR)
			continue;
	}
	if (!*why && !WIFEXITED(child.status))
		*why = "it was killed";
	return *why ? -1 : WEXITSTATUS(child.status);
}
