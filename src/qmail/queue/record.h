/*
 * Envelope files: records of one letter and a text, each ended by a NUL.
 *
 *	todo	u UID, p PID, F sender, T recipient ...
 *	info	F sender
 *	local, remote	T recipient still to be tried, or D done with
 */
#ifndef QUEUE_RECORD_H
#define QUEUE_RECORD_H

#include "lib/bio.h"

#define RECORD_MAX 2048 /* bytes; an accepted address and what virtualdomains adds to it */

enum record { RECORD_OK, RECORD_END, RECORD_ERROR /* errno; EBADMSG: not whole, or too long */ };

/* The next record, its letter included; replaced. */
enum record record_read(struct in *in, struct str *record);
void record_write(struct out *out, char letter, const struct str *text);

/* The sender of a message, from info; false with errno. The queue is the directory. */
bool record_sender(unsigned long id, struct str *sender);

#endif
