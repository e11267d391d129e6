/*
 * Where the queue keeps a message: queue/DIR/[SPLIT/]ID, relative to the queue directory,
 * which is the working directory of the programs that use it.
 *
 * mess, info, local and remote are split into QUEUE_SPLIT directories; the others are flat.
 * ID is the inode number of the mess file.
 */
#ifndef LIB_QUEUEFS_H
#define LIB_QUEUEFS_H

#include "lib/str.h"

#define QUEUE_TRIGGER "lock/trigger"
#define QUEUE_SENDMUTEX "lock/sendmutex"
#define QUEUE_TCPTO "lock/tcpto"

void queue_path(struct str *path, const char *directory, bool split, unsigned long id);

/* The short names everybody uses. */
static inline void
queue_split_path(struct str *path, const char *directory, unsigned long id)
{
	queue_path(path, directory, true, id);
}

static inline void
queue_flat_path(struct str *path, const char *directory, unsigned long id)
{
	queue_path(path, directory, false, id);
}

/* Wakes qmail-send, from the queue directory; nothing happens where it is not running. */
void queue_trigger(void);

/* fsync of a directory, so that a name in it survives a loss of power. */
bool directory_sync(const char *path);

#endif
