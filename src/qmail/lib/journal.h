/*
 * Whether one write-out is enough for several changes of a file system.
 *
 * XFS, and ext4 with its journal on the device itself, keep one log of all changes of names and of
 * files' places, in the order in which they were made: fsync(2) of a file that has just got a name
 * writes out that name, and whatever was named before it. The journal of ext4 can be left out when
 * it is made (mke2fs(8), has_journal), so the system is asked.
 *
 * On such a file system a file whose bytes are on the device (journal_write_out) may be named
 * before it is synced, and the one fsync that follows makes all of it durable: what a loss of power
 * leaves has the name only where it has all bytes, since the device's cache is flushed before each
 * commit. (Documentation/filesystems/ext4/journal.rst of the kernel.)
 */
#ifndef LIB_JOURNAL_H
#define LIB_JOURNAL_H

#include <stdbool.h>

/* Whether the file system of the open file is such a one; false where that can't be told. The last
 * answer is kept, for as long as this process and those that it forks ask for the same device. */
bool journal_orders(int fd);

/* Begins to write out the file's bytes: only a hint, whose failure shows in what follows. */
void journal_begin_write_out(int fd);
/* Has them on the device, though perhaps in its cache; false where they can't be written. */
bool journal_write_out(int fd);

#endif
