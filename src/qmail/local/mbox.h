/* Delivery into an mbox file, mbox(5). */
#ifndef LOCAL_MBOX_H
#define LOCAL_MBOX_H

#include "lib/bio.h"
#include "local/delivery.h"
#include "local/outcome.h"

/*
 * Appends the message under an exclusive flock, waited for at most 30 seconds. When it
 * can't be written whole, the file is cut to its old length again. Only regular files and
 * character devices (/dev/null) are written to.
 */
enum outcome mbox_deliver(const char *file, const struct delivery *d);

/*
 * A message's bytes on their way into an mbox: a line "From ", or one with any number of
 * '>' in front of that, gets one more '>', so that it can be undone. A last line without
 * LF gets one, and a blank line follows.
 */
struct mbox_quoter {
	struct out *out;
	size_t marks; /* '>' seen at the start of the line and held back */
	size_t from;  /* bytes of "From " seen behind them and held back */
	bool in_line; /* the start of the line has been decided */
};

void mbox_quoter_open(struct mbox_quoter *quoter, struct out *out);
void mbox_quoter_bytes(struct mbox_quoter *quoter, const char *bytes, size_t len);
void mbox_quoter_end(struct mbox_quoter *quoter);

#endif
