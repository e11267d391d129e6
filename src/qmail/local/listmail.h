/*
 * What a list makes of a message's header: pure functions over bytes, the whole header without the
 * blank line behind it.
 */
#ifndef LOCAL_LISTMAIL_H
#define LOCAL_LISTMAIL_H

#include "lib/str.h"

enum listmail {
	LISTMAIL_SEND,
	LISTMAIL_SEEN,  /* its List-Id says that this list has sent it */
	LISTMAIL_ANSWER /* made by a program as an answer: Auto-Submitted, RFC 3834 section 5 */
};

enum listmail listmail_judge(const struct str *header, const char *id);

/*
 * Adds the header as it goes to the members: with our List-Id and Precedence at its end, and
 * without those that it had, as a message has one of each (RFC 2919 section 3, RFC 2369 section 4).
 */
void listmail_rewrite(struct str *to, const struct str *header, const char *id);

#endif
