/*
 * Replies of an SMTP server (RFC 5321 section 4.2), line by line; and what an EHLO reply
 * offers. Pure functions: where the lines come from is connection.h's business.
 *
 * A reply is one or more lines "250-text", the last one "250 text" or "250". All lines carry
 * the same code, its digits are 2-5, 0-9, 0-9; anything else is malformed, as is a reply of
 * more than REPLY_LINES lines or REPLY_BYTES bytes.
 */
#ifndef REMOTE_REPLY_H
#define REMOTE_REPLY_H

#include "lib/str.h"

#define REPLY_LINE 2048 /* longest line, without its end */
#define REPLY_LINES 128
#define REPLY_BYTES 16384

struct reply {
	unsigned code; /* 0 before the first line */
	unsigned lines;
	struct str text; /* the lines, codes included, each ended by LF; printable ASCII */
};

#define REPLY_INIT                                                                                 \
	{                                                                                          \
		0, 0, STR_INIT                                                                     \
	}

enum reply_state { REPLY_MORE, REPLY_WHOLE, REPLY_MALFORMED };

void reply_start(struct reply *reply);
/* Takes a line without its LF; a CR at its end does not count. */
enum reply_state reply_line(struct reply *reply, const char *line, size_t len);

static inline unsigned
reply_class(const struct reply *reply)
{
	return reply->code / 100;
}

/* What the reply to EHLO offers. */
struct offers {
	bool size, eight_bit, starttls, smtputf8;
	unsigned long size_limit; /* 0: none declared */
	bool auth_plain, auth_login;
};

void offers_parse(struct offers *offers, const struct reply *reply);

#endif
