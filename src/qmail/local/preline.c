/*
 * preline: gives a program the message with the lines in front that mailboxes have. See
 * preline(1). A child writes into a pipe; this process becomes the program, so its exit
 * code and signals are the program's own.
 */
#include "local/helper.h"
#include "local/message.h"
#include "local/outcome.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A program that stops reading early is free to; one whose message broke off must know. */
static _Noreturn void
feed(int fd, const char *const lines[3], pid_t reader)
{
	static struct message message;
	static char buffer[16384];
	struct out out;
	int i;

	out_fd(&out, fd, buffer, sizeof buffer);
	for (i = 0; i < 3; i++)
		if (lines[i])
			out_text(&out, lines[i]);
	message_open_here(&message);
	if (!message_copy(&message, &out))
		kill(reader, SIGKILL);
	out_flush(&out);
	_exit(0);
}

static _Noreturn void
become(char *const arguments[])
{
	signal(SIGPIPE, SIG_DFL);
	execvp(arguments[0], arguments);
	leave(EXIT_LATER, "Can't run %s: %s. (#4.3.0)", arguments[0], strerror(errno));
}

int
main(int count, char **arguments)
{
	const char *lines[3] = {"", "", ""};
	pid_t reader = getpid(), writer;
	int option, ends[2], taken;

	helper_start();
	opterr = 0;
	while ((option = getopt(count, arguments, "+dfr")) != -1) {
		switch (option) {
		case 'f': lines[0] = NULL; break;
		case 'r': lines[1] = NULL; break;
		case 'd': lines[2] = NULL; break;
		default: count = 0;
		}
	}
	if (optind >= count)
		leave(EXIT_NEVER, "usage: in .qmail: |preline [-dfr] program [arg...]");
	if (lines[0])
		lines[0] = helper_variable("UFLINE");
	if (lines[1])
		lines[1] = helper_variable("RPLINE");
	if (lines[2])
		lines[2] = helper_variable("DTLINE");
	if (pipe(ends) || (writer = fork()) < 0)
		leave(EXIT_LATER, "Can't start a process: %s. (#4.3.0)", strerror(errno));
	if (writer == 0) {
		close(ends[0]);
		feed(ends[1], lines, reader);
	}
	close(ends[1]);
	taken = dup2(ends[0], 0);
	if (taken < 0)
		leave(EXIT_LATER, "Can't take the pipe's end: %s. (#4.3.0)", strerror(errno));
	close(ends[0]);
	become(arguments + optind);
}
