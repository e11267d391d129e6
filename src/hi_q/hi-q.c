/*
 * hi-q: becomes qmail-queue where there is nothing to filter, and elsewhere has the message taken
 * by the resident, or becomes the interpreter with the Python program beside it.
 *
 * Most of what an unfiltered message would cost is the interpreter's start. So the list is looked
 * at here first. What this doesn't understand at once it leaves to the program, which judges the
 * list: whatever isn't a blank line or a comment, a list that somebody else may write, and every
 * error.
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

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
	INTERNAL = 81,   /* as qmail-queue says that it is in trouble */
	LIST_MOST = 4096 /* bytes that are looked at here; a longer list is the program's matter */
};

/* Blanks, ends of lines, and comments of printable ASCII are all there is. */
static bool
says_nothing(const char *text, size_t length)
{
	bool comment = false;

	for (size_t i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)text[i];

		if (c == '\n')
			comment = false;
		else if (c == '#')
			comment = true;
		else if (c != ' ' && c != '\t' && !(comment && c > ' ' && c < 0x7f))
			return false;
	}
	return true;
}

/* The list is one that counts, and has no filter. */
static bool
nothing_to_filter(void)
{
	char text[LIST_MOST];
	struct stat status;
	ssize_t length = -1;
	int fd = open(LIST, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    (status.st_uid == 0 || status.st_uid == geteuid()) && !(status.st_mode & 022) &&
	    status.st_size < LIST_MOST)
		length = read(fd, text, sizeof text);
	close(fd);
	return length >= 0 && length < LIST_MOST && says_nothing(text, (size_t)length);
}

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
	if (argc == 1 && nothing_to_filter())
		execv(QUEUE, (char *[]){QUEUE, NULL});
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
