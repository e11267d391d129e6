/*
 * The message of our own users without Authentication-Results fields of our name: what they bring
 * is none of this host's (RFC 8601 section 5). Pure functions over a decoded message, in pieces of
 * any size.
 *
 * Where a header ends readers are of different minds. So such a field goes up to the first empty
 * line, whatever stands in between, and a NUL is the blank that remote/encode.h makes of it.
 * Others' fields stay, and so does every other byte.
 */
#ifndef SMTPD_RESULTS_H
#define SMTPD_RESULTS_H

#include "lib/str.h"

enum results_line { RESULTS_START, RESULTS_NAME, RESULTS_VALUE, RESULTS_REST };

struct results {
	struct str ours; /* this host's name; given */
	bool over;       /* the header has ended */
	enum results_line line;
	bool drop;       /* the present field goes */
	bool within;     /* it is an Authentication-Results field of which nothing is known yet */
	size_t column;   /* bytes of the name so far that are that field's */
	size_t body;     /* where in held the value begins */
	struct str held; /* of the present field, as long as it may be one of those */
};

/* ours is empty, for the caller to fill. */
void results_start(struct results *results);
/*
 * Adds the bytes to to, without such fields, up to the header's end; gives how many of them that
 * were. What is left, once it is over, is the caller's to pass on as it is.
 */
size_t results_feed(struct results *results, const char *bytes, size_t len, struct str *to);
/* The message has ended. */
void results_end(struct results *results, struct str *to);
void results_free(struct results *results);

#endif
