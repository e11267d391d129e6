/*
 * hi-q: starts the interpreter with the Python program beside it.
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
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { INTERNAL = 81 }; /* as qmail-queue says that it is in trouble */

int
main(int argc, char **argv)
{
	char **words = calloc((size_t)argc + 3, sizeof *words);

	if (argc > 1 && setresgid(getgid(), getgid(), getgid()) != 0) {
		perror("hi-q: setresgid");
		return INTERNAL;
	}
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
