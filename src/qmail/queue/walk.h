/* Going through a directory of the queue. */
#ifndef QUEUE_WALK_H
#define QUEUE_WALK_H

#include <stdbool.h>

/*
 * Calls visit with the number of each message that has a file in DIRECTORY, or in its
 * QUEUE_SPLIT parts. False, with errno, where one can't be read. The queue is the directory.
 */
bool walk(const char *directory, bool split, void (*visit)(unsigned long id));

#endif
