/* The messages that qmail-send knows, by number. */
#ifndef SEND_MESSAGES_H
#define SEND_MESSAGES_H

#include "send/route.h"

#include <stdbool.h>
#include <time.h>

/* One pass over a message's recipients on one channel. */
struct pass {
	size_t at;            /* offset of the next record in the channel's file */
	unsigned outstanding; /* deliveries started and not yet reported */
	bool read_all;        /* no record is left to start */
	bool undone;          /* somebody has to be tried again */
	bool last;            /* the message is too old: nobody will be tried again */
	bool failed;          /* a delivery is to be tried again */
	time_t pause;         /* the end of the last pause that somebody had to wait for, or 0 */
};

/*
 * The one recipient of a message that is delivered at once, from S4: info and the channel's file
 * are made only where that is not the end of it (intake.h).
 */
struct early {
	struct str sender, recipient; /* as the records F and T would have them */
};

enum message_state {
	MESSAGE_WAITING, /* in todo, not usable before retry */
	MESSAGE_QUEUED,  /* S5: recipients are left */
	MESSAGE_ENDING   /* no recipient is left: bounce, then the end */
};

struct message {
	unsigned long id;
	struct message *next; /* in the table's chain */
	time_t birth;
	time_t retry; /* of a WAITING one */
	enum message_state state;
	bool open[CHANNEL_COUNT];         /* somebody is left on the channel: its file exists */
	struct pass *pass[CHANNEL_COUNT]; /* while one is under way */
	bool fresh;          /* it has come to this process, which has not put it off yet */
	bool files_first;    /* its files could not be made once: it is early no more */
	struct early *early; /* NULL: its files are made, or it is not usable */
};

struct message_table {
	struct message **chains;
	size_t count, room;
	unsigned early; /* messages that are so */
};

/* NULL where the number is not known. */
struct message *message_find(const struct message_table *table, unsigned long id);
/* The number must be new. */
struct message *message_add(struct message_table *table, unsigned long id);
void message_set_early(struct message_table *table, struct message *message,
    const struct str *sender, const struct str *recipient);
/* It is one no more. */
void message_end_early(struct message_table *table, struct message *message);
/* Forgets a message, which is freed. */
void message_drop(struct message_table *table, struct message *message);

#endif
