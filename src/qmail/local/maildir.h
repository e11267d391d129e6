/* Delivery into a Maildir. */
#ifndef LOCAL_MAILDIR_H
#define LOCAL_MAILDIR_H

#include "local/delivery.h"
#include "local/outcome.h"

/*
 * The message becomes one file in DIRECTORY/new, complete and on disk, or nothing: it is
 * written in tmp under a name that no other delivery can have (time, microseconds, process,
 * delivery of this process, host), synchronised, linked into new, and that directory
 * synchronised. After 24 hours it is given up, since cleaners remove older files in tmp.
 *
 * Where the user has a quota, it is asked first (local/quota.h), and a message without room is not
 * written.
 *
 * In new the name ends in ,S=BYTES,W=BYTES: the file's size, and what it is with two bytes a line
 * end, so that no reader must read it for that. W is left out where the last line has no end.
 */
enum outcome maildir_deliver(const char *directory, const struct delivery *d);

#endif
