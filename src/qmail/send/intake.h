/*
 * New messages: todo, from S4 to S5. One that has one recipient may stay in S4 until its first
 * attempt has ended (message->early), and be gone then.
 */
#ifndef SEND_INTAKE_H
#define SEND_INTAKE_H

#include "send/state.h"

/* Takes a batch in, if anything new may be there. */
void intake_step(struct send *s);

/*
 * Takes an early message to S5 after all: its delivery has to wait, or did not succeed. True: it is
 * there, and the channel's file has its record at offset 0; it isn't due, since the caller has its
 * pass. False: the pass is to be forgotten: with this process, until todo is tried again, or since
 * control files were read anew and its recipient is on the other channel now.
 */
bool intake_complete(struct send *s, enum channel channel, struct message *m);

#endif
