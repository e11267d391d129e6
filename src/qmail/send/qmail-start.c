/*
 * qmail-start: starts qmail-send and its helpers, each as its own user, connected by pipes
 * (connections.h). It makes itself the leader of a process group, so that all of them can be
 * ended together, and becomes qmail-send in the end, so that its process id is that of
 * qmail-send. See qmail-start(8).
 */
#include "lib/bio.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "send/connections.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HIGH 20 /* pipes are made above the descriptors that programs get */

enum {
	PIPE_LOG,
	PIPE_TO_LSPAWN,
	PIPE_FROM_LSPAWN,
	PIPE_TO_RSPAWN,
	PIPE_FROM_RSPAWN,
	PIPE_TO_CLEAN,
	PIPE_FROM_CLEAN,
	PIPE_TO_QUEUED,
	PIPE_COUNT
};

static int pipes[PIPE_COUNT][2];

struct ids {
	uid_t log, queue, remote, send;
	gid_t qmail, nofiles;
};

static _Noreturn void
give_up(const char *what, const char *why)
{
	say("qmail-start: %s: %s\n", what, why);
	_exit(111);
}

/* Programs that users name in .qmail files inherit what we were started with, so only
 * what they need is kept. */
static void
prune_environment(void)
{
	static const char *const kept[] = {
	    "PATH=", "TZ=", "LANG=", "LC_", "QMAIL", "ASAN_OPTIONS=", "UBSAN_OPTIONS="};
	char **from = environ, **to = environ;

	for (; *from; from++) {
		size_t i, count = sizeof kept / sizeof *kept;

		for (i = 0; i < count && strncmp(*from, kept[i], strlen(kept[i])); i++)
			;
		if (i < count)
			*to++ = *from;
	}
	*to = NULL;
	if (!getenv("PATH"))
		setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
}

static void
look_up(struct ids *ids)
{
	if (!identity_uid(IDENTITY_LOG, &ids->log) || !identity_uid(IDENTITY_QUEUE, &ids->queue) ||
	    !identity_uid(IDENTITY_REMOTE, &ids->remote) ||
	    !identity_uid(IDENTITY_SEND, &ids->send) || !identity_gid(GROUP_QUEUE, &ids->qmail) ||
	    !identity_gid(GROUP_NOFILES, &ids->nofiles))
		give_up("a user or group of qmail does not exist", "see qmail-users(5)");
}

static void
open_pipes(bool logger)
{
	int i, j, low[2];

	for (i = 0; i < PIPE_COUNT; i++) {
		if (i == PIPE_LOG && !logger)
			continue;
		if (pipe2(low, O_CLOEXEC) < 0)
			give_up("can't make a pipe", strerror(errno));
		for (j = 0; j < 2; j++) {
			pipes[i][j] = fcntl(low[j], F_DUPFD_CLOEXEC, HIGH);
			if (pipes[i][j] < 0)
				give_up("can't move a pipe", strerror(errno));
			close(low[j]);
		}
	}
}

static void
attach(int fd, int target)
{
	if (dup2(fd, target) < 0)
		give_up("can't move a descriptor", strerror(errno));
}

/* Reads from the pipe in, writes to out. */
static void
attach_helper(int in, int out)
{
	attach(pipes[in][0], 0);
	attach(pipes[out][1], 1);
}

static void
become(uid_t uid, gid_t gid)
{
	if (!identity_become(uid, gid))
		give_up("can't become another user", strerror(errno));
}

static _Noreturn void
run(char *const *arguments)
{
	execvp(arguments[0], arguments);
	give_up(arguments[0], strerror(errno));
}

static pid_t
start(void)
{
	pid_t pid = fork();

	if (pid < 0)
		give_up("can't start a process", strerror(errno));
	return pid;
}

static void
start_logger(const struct ids *ids, char *const *logger)
{
	if (start() == 0) {
		attach(pipes[PIPE_LOG][0], 0);
		become(ids->log, ids->nofiles);
		run(logger);
	}
	/* From here on what anybody says on descriptor 2 is logged as well. */
	attach(pipes[PIPE_LOG][1], 2);
}

static void
start_helpers(const struct ids *ids, char *fallback, int nothing)
{
	static char lspawn[] = "bin/qmail-lspawn", rspawn[] = "bin/qmail-rspawn",
		    clean[] = "bin/qmail-clean", queued[] = "bin/qmail-queued";

	if (start() == 0) {
		char *const arguments[] = {lspawn, fallback, NULL};

		attach_helper(PIPE_TO_LSPAWN, PIPE_FROM_LSPAWN);
		run(arguments);
	}
	if (start() == 0) {
		char *const arguments[] = {rspawn, NULL};

		attach_helper(PIPE_TO_RSPAWN, PIPE_FROM_RSPAWN);
		become(ids->remote, ids->qmail);
		run(arguments);
	}
	if (start() == 0) {
		char *const arguments[] = {clean, NULL};

		attach_helper(PIPE_TO_CLEAN, PIPE_FROM_CLEAN);
		become(ids->queue, ids->qmail);
		run(arguments);
	}
	if (start() == 0) {
		char *const arguments[] = {queued, NULL};

		attach(pipes[PIPE_TO_QUEUED][0], 0);
		attach(nothing, 1);
		become(ids->queue, ids->qmail);
		run(arguments);
	}
}

static _Noreturn void
become_send(const struct ids *ids, int nothing)
{
	static char send[] = "bin/qmail-send";
	char *const arguments[] = {send, NULL};

	attach(pipes[PIPE_TO_LSPAWN][1], CONNECTION_TO_LSPAWN);
	attach(pipes[PIPE_FROM_LSPAWN][0], CONNECTION_FROM_LSPAWN);
	attach(pipes[PIPE_TO_RSPAWN][1], CONNECTION_TO_RSPAWN);
	attach(pipes[PIPE_FROM_RSPAWN][0], CONNECTION_FROM_RSPAWN);
	attach(pipes[PIPE_TO_CLEAN][1], CONNECTION_TO_CLEAN);
	attach(pipes[PIPE_FROM_CLEAN][0], CONNECTION_FROM_CLEAN);
	attach(pipes[PIPE_TO_QUEUED][1], CONNECTION_TO_QUEUED);
	attach(nothing, 0);
	attach(nothing, 1);
	become(ids->send, ids->qmail);
	run(arguments);
}

int
main(int count, char **arguments)
{
	static char mbox[] = "./Mailbox";
	char *fallback = count > 1 ? arguments[1] : mbox;
	struct ids ids;
	int nothing;

	descriptors_tidy();
	nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (nothing >= 0)
		nothing = fcntl(nothing, F_DUPFD_CLOEXEC, HIGH);
	if (nothing < 0)
		give_up("can't open /dev/null", strerror(errno));
	if (!home_enter())
		give_up(home(), strerror(errno));
	umask(077);
	setpgid(0, 0); /* fails for the leader of a session, which leads its group already */
	look_up(&ids);
	prune_environment();
	open_pipes(count > 2);
	attach(1, 2); /* without a logger, the log goes where our output goes */
	if (count > 2)
		start_logger(&ids, arguments + 2);
	start_helpers(&ids, fallback, nothing);
	become_send(&ids, nothing);
}
