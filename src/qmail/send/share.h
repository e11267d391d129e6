/*
 * Shares of the deliveries at a time: no user, and no remote domain, takes all of a channel's
 * slots.
 *
 * A holder is whom deliveries are counted for, by name: the uid of a local user, the domain of a
 * remote recipient. Recipients beyond a holder's share wait here, without a slot; each delivery of
 * the holder that ends makes the next of them ready. Messages take turns, so a long list keeps
 * nobody waiting; the recipients of one come in their order. A holder is there for as long as
 * something of it is under way, ready or waiting.
 */
#ifndef SEND_SHARE_H
#define SEND_SHARE_H

#include "send/messages.h"

struct waiting {
	struct waiting *next;
	struct message *message;
	size_t at; /* offset of its record */
	struct holder *holder;
};

struct line {
	struct waiting *first, **end;
};

/* Recipients of one message, as they came without one of another message between them. */
struct party {
	struct party *next;
	struct message *message;
	struct line line;
};

struct holder {
	struct holder *next;
	struct str name;
	unsigned running, ready;
	struct party *first, *last; /* of those who wait */
};

struct share {
	unsigned limit; /* of the deliveries at a time for each holder */
	struct holder *holders;
	struct line ready;
};

/* What a share is out of so many slots: as wanted, or for 0 a third, one at least. */
unsigned share_size(unsigned long slots, unsigned long wanted);

void share_open(struct share *share, unsigned limit);
/* The holder of this name, new where it is not known; it is gone with the next share_leave. */
struct holder *share_holder(struct share *share, const char *name);
void share_enter(struct holder *holder);
/* A delivery has ended: one that waits, if any, is ready. */
void share_leave(struct share *share, struct holder *holder);
/* The same for one that did not run: it shows nothing about who waits. */
void share_cancel(struct share *share, struct holder *holder);
/* Makes as many of those who wait ready as the holder's share has room for. */
void share_fill(struct share *share, struct holder *holder);
void share_wait(struct holder *holder, struct message *message, size_t at);
/* Takes the first that is ready, which the caller must enter, make wait again, or cancel; or false.
 */
bool share_ready(struct share *share, struct waiting *taken);

#endif
