/*
 * What both halves of POP3 do with a client: command lines come, replies go (RFC 1939 section 3).
 */
#ifndef POP3_SESSION_H
#define POP3_SESSION_H

#include "lib/bio.h"
#include "lib/chan.h"
#include "pop3/command.h"

struct pop3_session {
	struct chan chan;
	struct in in;
	struct out out;
	struct str line;        /* the present command */
	unsigned long commands; /* how many have come */
};

/* Over descriptors 0 and 1, with the caller's limits in s->chan; the buffers are the caller's. */
void pop3_open(struct pop3_session *s, char *in, size_t in_len, char *out, size_t out_len);

/* One line. Replies are sent when the client has nothing more under way. */
void pop3_reply(struct pop3_session *s, const char *text);
/* Several, up to a NULL, and the dot that ends them. */
void pop3_reply_lines(struct pop3_session *s, const char *const *lines);

/*
 * Waits for the next command, the max-th at most. False where none comes: the client is gone
 * or silent, or has broken a limit, which the last reply then says (written, not yet sent).
 */
bool pop3_next(struct pop3_session *s, unsigned long max, struct pop3_command *command);

#endif
