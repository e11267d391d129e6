/*
 * The lines of a .qmail file, dot-qmail(5): a pure parser over bytes.
 *
 * A line ends at LF or at the end of the file; blanks, tabs and CR at its end do not count.
 * Comments and blank lines are passed over, but for a blank first line, which is more
 * likely a slip than an intention.
 */
#ifndef LOCAL_DOTQMAIL_H
#define LOCAL_DOTQMAIL_H

#include "lib/str.h"

enum dot_kind {
	DOT_END,
	DOT_PROGRAM, /* argument: a command for sh */
	DOT_MBOX,    /* argument: a file name */
	DOT_MAILDIR, /* argument: a directory, with its slash at the end */
	DOT_FORWARD, /* argument: an address and nothing else, see addr_is_bare */
	/* What can't be followed; argument is the line, empty for a blank first line. */
	DOT_BLANK_FIRST,
	DOT_MALFORMED
};

struct dotqmail {
	const char *at, *end;
	size_t line; /* number of the last line read, from 1 */
};

void dotqmail_open(struct dotqmail *file, const char *bytes, size_t len);
/* The next instruction; its argument replaces what was there. */
enum dot_kind dotqmail_next(struct dotqmail *file, struct str *argument);

#endif
