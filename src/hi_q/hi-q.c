/*
 * hi-q: becomes qmail-queue where there is nothing to filter, and elsewhere has the message taken
 * by the resident, or becomes the interpreter with the Python program beside it.
 *
 * Most of what an unfiltered message would cost is the interpreter's start. So the list is looked
 * at here first (../qmail/filters/list.h). What this doesn't understand at once it leaves to the
 * program, which judges the list: whatever isn't a blank line or a comment, a list that somebody
 * else may write, and every error. qmail-smtpd looks at it likewise, and where there is nothing to
 * filter it doesn't start this at all.
 *
 * It is installed set-group-id to a group that owns no file and may do nothing. For that one
 * reason: what a process executes whose effective group is another than its real one is closed,
 * memory, environment and descriptors, to all others of its user id, from its first moment. The
 * interpreter and a filter of the system, such as spamc, may be read by everybody, and would be
 * open otherwise, for a while at least.
 *
 * With an argument it isn't taking a message from qmail's programs, which give none: it is somebody
 * who tries a list, or names a queue, of his own. What that runs must not get a group from here.
 */
#include "ask.h"
#include "list.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { INTERNAL = 81 }; /* as qmail-queue says that it is in trouble */

/*
 * With a group of its own it is a program for which musl opens /dev/null, to read and to write, in
 * the place of a closed descriptor. Who reads the message from there takes an empty one for it.
 */
static void
close_stand_in(int fd)
{
	struct stat status;

	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR && fstat(fd, &status) == 0 &&
	    S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3))
		close(fd);
}

int
main(int argc, char **argv)
{
	char **words = calloc((size_t)argc + 3, sizeof *words);
	int code;

	close_stand_in(0);
	close_stand_in(1);
	if (argc > 1 && setresgid(getgid(), getgid(), getgid()) != 0) {
		perror("hi-q: setresgid");
		return INTERNAL;
	}
	/* Where this can't be executed the program says so, to the client as well. */
	if (argc == 1 && filters_none(LIST)) {
		const char *sign = getenv("SIGNQUEUE");
		char *queue = sign && *sign ? SIGN : QUEUE;

		execv(queue, (char *[]){queue, NULL});
	}
	if (argc == 1 && (code = ask_resident(CLASS, INTERNAL)) >= 0)
		return code;
	if (words) {
		words[0] = INTERPRETER;
		words[1] = "-IS";
		words[2] = PROGRAM;
		for (int i = 1; i < argc; i++)
			words[i + 2] = argv[i];
		execv(INTERPRETER, words);
	}
	perror("hi-q: " INTERPRETER);
	return INTERNAL;
}
