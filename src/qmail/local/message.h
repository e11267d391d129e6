/*
 * The message on descriptor 0, read from its start as often as there are deliveries.
 *
 * message_open reads by offset, so a program of an earlier delivery that still has the
 * descriptor can't move our place in it.
 */
#ifndef LOCAL_MESSAGE_H
#define LOCAL_MESSAGE_H

#include "lib/bio.h"

struct message {
	off_t at;
	struct in in;
	char buffer[16384];
};

/* At the message's first byte. */
void message_open(struct message *message);
/* At the descriptor's own place, for programs that may stand behind a pipe. */
void message_open_here(struct message *message);
/* Copies the rest; false when the message could not be read. The writer is not flushed. */
bool message_copy(struct message *message, struct out *to);
/* Whether the header has exactly this line, which ends with LF: 1, 0, or -1 on error. */
int message_has_line(const struct str *line);

#endif
