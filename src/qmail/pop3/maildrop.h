/*
 * The messages of a Maildir as one POP3 session sees them: those of new/ and cur/ when it
 * starts, oldest first. The Maildir must be the working directory.
 *
 * Other programs may move or remove messages meanwhile: a message that was moved is found
 * again by the unique part of its name (what stands before the colon), one that was removed
 * is answered as such. Of messages with equal unique names, all but one get a new one.
 */
#ifndef POP3_MAILDROP_H
#define POP3_MAILDROP_H

#include "pop3/sizes.h"

#include <time.h>

#define MAILDROP_MAX 1000000 /* messages of one session; more wait for the next */
#define UIDL_MAX 70          /* RFC 1939 section 7 */

struct message {
	size_t path;        /* offset into names: "new/NAME" or "cur/NAME" */
	off_t stored;       /* bytes of its file */
	unsigned long size; /* bytes on the wire, once they are known */
	bool measured;
	bool noted;     /* its size was found by reading it, now or in an earlier session */
	long long time; /* when it was delivered */
	bool deleted;
	bool twin; /* another message has the same unique name, and this one couldn't be renamed */
};

struct maildrop {
	struct str names;
	struct message *messages;
	size_t count, capacity;
	struct str current; /* names in cur/ as last looked up, for messages that moved */
	const char **index; /* the same sorted, NULL when not looked up */
	size_t index_count;
	struct timespec index_time; /* of the directory, before it was read */
	bool index_settled;         /* a later change of it shows in its time */
	struct sizes sizes;
	bool sizes_loaded;
	unsigned long sizes_read, bytes_read; /* messages that were read for their sizes */
	size_t removed;                       /* messages, and their bytes, for the quota */
	long removed_bytes;
};

#define MAILDROP_INIT                                                                              \
	{                                                                                          \
		STR_INIT, NULL, 0, 0, STR_INIT, NULL, 0, {0, 0}, false, SIZES_INIT, false, 0, 0,   \
		    0, 0                                                                           \
	}

/* False: new/ or cur/ can't be read (errno). */
bool maildrop_open(struct maildrop *drop);
void maildrop_free(struct maildrop *drop);

/* Removes what has lain in tmp/ for 36 hours, as maildir(5) asks every reader to do. */
void maildrop_clean(void);

const char *maildrop_path(const struct maildrop *drop, size_t number);
/* A readable descriptor of a regular file, -1 when the message is gone or unreadable. */
int maildrop_read(struct maildrop *drop, size_t number);

/*
 * Bytes that RETR sends, without stuffed dots and the last line: what ,W= in the name says where
 * that can be true, else what an earlier session found, else the message is read for it, once.
 */
unsigned long maildrop_size(struct maildrop *drop, size_t number);

/* Notes for later sessions the sizes that messages were read for, where that spares them much. */
void maildrop_note_sizes(struct maildrop *drop);

/* How many are not deleted, and the sum of their sizes. */
void maildrop_total(struct maildrop *drop, unsigned long *count, unsigned long *bytes);

/* The unique part of the name, or a digest of it where it is no unique-id of RFC 1939. */
void maildrop_uidl(const struct maildrop *drop, size_t number, struct str *uidl);

/*
 * The UPDATE state: deleted messages are removed, others move from new/ to cur/, unless there is
 * one of that name. Where the user has a quota, what has gone is taken off what is used of it
 * (lib/maildirquota.h). Returns how many deleted ones could not be removed.
 */
size_t maildrop_update(struct maildrop *drop);

#endif
