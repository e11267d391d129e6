/*
 * Who a message says it is from: the addresses in its From fields (RFC 5322 section 3.6.2, groups
 * as RFC 6854 allows them). Pure functions over the bytes of a decoded message, in whatever pieces
 * they come.
 *
 * A reader may take the first such field or the last one, and end the header at another line than
 * we do. So every one counts up to the first empty line, whatever stands in between, and a field
 * that can't be read in one way only is none. Resent-From says who has passed the message on, and
 * is not judged.
 *
 * What counts is what others will read. So a NUL is the blank that remote/encode.h makes of it, in
 * front of a colon and at a line's beginning, too; and a line that it would break is not read.
 */
#ifndef SMTPD_AUTHORS_H
#define SMTPD_AUTHORS_H

#include "lib/list.h"

#define AUTHORS_MAX 65536 /* bytes of all From fields together */
#define AUTHORS_LINE 998  /* bytes of a line of them, RFC 5322 section 2.1.1 */

enum authors_line { AUTHORS_NAME, AUTHORS_VALUE, AUTHORS_OTHER };

struct authors {
	enum authors_line line;
	bool line_start, body;
	size_t column, bytes;
	size_t width;     /* bytes of the present line so far */
	struct str field; /* what stands behind the colon of the present one */
	bool within;      /* there is a present one, which the next line may go on */
	struct list found;
	bool unreadable; /* one was no list of addresses, named nobody, or was too long */
};

void authors_start(struct authors *authors);
void authors_scan(struct authors *authors, const char *bytes, size_t len);
/* The message has ended: found and unreadable are what they are. */
void authors_end(struct authors *authors);
void authors_free(struct authors *authors);

#endif
