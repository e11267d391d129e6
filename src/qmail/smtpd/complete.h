/*
 * What a message of our own users lacks: RFC 6409 section 8 has us add Date and Message-ID where
 * the header has none. Pure functions over a decoded message, in pieces of any size.
 *
 * They come behind the last field. A header ends at its first empty line, or before the first line
 * that is none of its fields; a mailbox's line "From ..." may be its first. Nothing else changes.
 */
#ifndef SMTPD_COMPLETE_H
#define SMTPD_COMPLETE_H

#include "lib/str.h"

enum complete_line { COMPLETE_START, COMPLETE_NAME, COMPLETE_BLANK, COMPLETE_REST };

struct complete {
	struct str date, id; /* the fields to add, with their LF; given */
	bool done;           /* the header has ended, and what was missing is there */
	bool has_date, has_id;
	bool later; /* the present line isn't the first one */
	enum complete_line line;
	struct str held; /* of the present line, as long as it may be none of the header */
};

/* date and id are those two, empty, for the caller to fill. */
void complete_start(struct complete *complete);
/*
 * Adds the bytes to to, with what is missing in between, up to the header's end; gives how many
 * that were. What is left, once it is done, is the caller's to pass on as it is.
 */
size_t complete_feed(struct complete *complete, const char *bytes, size_t len, struct str *to);
/* The message has ended. */
void complete_end(struct complete *complete, struct str *to);
void complete_free(struct complete *complete);

#endif
