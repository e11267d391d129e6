/*
 * A message on its way into the queue: what qmail-queue does for one, and qmail-queued for some at
 *a time. The queue must be the working directory.
 *
 * A message goes through these states (qmail-send(8) tells what happens after them):
 *
 *	S1	no file
 *	S2	mess/ID, made as pid/X and linked to the number that its inode has
 *	S3	and intd/ID, the envelope
 *	S4	and todo/ID, a link to intd/ID: the message is queued
 *
 * What is written when, so that the answer "accepted" outlives a loss of power:
 *
 *	1. mess/ID and intd/ID, before todo/ID exists: a todo entry never names a message or an
 *	   envelope with missing bytes.
 *	2. link todo/ID, then what it takes to have the new name on disk before anybody is told
 *	   so.
 *
 * Where the file system has one log of all changes (lib/journal.h) the bytes of both files are on
 * the device before the link, and one fsync of intd/ID behind it writes out the log up to that
 * link: with it the names mess/ID and intd/ID, which came before, and those of messages that were
 * entered before. Elsewhere both files are synced, and the directory todo after the link. There the
 * names mess/ID and intd/ID need no fsync of their directories either: ext4 without a journal
 *writes out the directory of a new file with the file (tests/test_power.py tries both), and fsync
 *of a new file on Btrfs logs its names.
 *
 * Writing out of all files is begun before any is waited for, so the disk gets them as one piece of
 * work.
 */
#ifndef QUEUE_ENTRY_H
#define QUEUE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

/* The exit codes of qmail-queue(8). */
enum code {
	CODE_ACCEPTED = 0,
	CODE_ADDRESS_LONG = 11,
	CODE_MEMORY = 51,
	CODE_TIMEOUT = 52,
	CODE_WRITE = 53,
	CODE_READ = 54,
	CODE_HOME = 61,
	CODE_QUEUE = 62,
	CODE_PID_FILE = 63,
	CODE_MESS_FILE = 64,
	CODE_INTD_FILE = 65,
	CODE_TODO_FILE = 66,
	CODE_INTERNAL = 81,
	CODE_MALFORMED = 91
};

#define ENTRY_PATH 64

/* A struct of zeroes at first. */
struct entry {
	unsigned long id;
	int mess, intd; /* open for writing, once they are made */
	enum code code; /* of what has gone wrong, first of all */
	/* The files that exist because of it; empty while they don't, and once it is entered. */
	char pid_path[ENTRY_PATH], mess_path[ENTRY_PATH], intd_path[ENTRY_PATH];
};

/* Removes what there is of it. Nothing but unlink(2) is called, so a signal's handler may do it. */
void entry_undo(struct entry *entry);

/* S1 to S2, and S2 to S3, with empty files. False: see its code. */
bool entry_make_mess(struct entry *entry);
bool entry_make_intd(struct entry *entry);

/* The line that is put before a message, and its length; 0 where it doesn't fit. */
size_t entry_trace(char *to, size_t size, unsigned long number, const char *whence);

/* The bytes of those entries that have no fault are on disk, as it is needed; the others' code says
 * that they are not. ordered: journal_orders of one of their files. */
void entries_write_out(struct entry *const *entries, size_t count, bool ordered);
/*
 * S3 to S4, durably. From the link on a message is qmail-send's and its files are not removed any
 * more, even if the name can't be written out: then the caller is told to try again, and the
 * message may be delivered twice rather than not at all.
 */
void entries_enter(struct entry *const *entries, size_t count, bool ordered);

#endif
