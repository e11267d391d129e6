/*
 * qmail-send's side of qmail-clean, which alone may remove what qmail-queue has made.
 *
 * Requests, each answered by one byte, '+' done or '!' not done, in order:
 *
 *	T id NUL	intd/ID, then todo/ID: from S4 to S5
 *	M id NUL	intd/ID, then mess/ID: to S1
 *	A id NUL	intd/ID, todo/ID, then mess/ID: all of it, from S4 to S1
 *	P NUL		whatever in pid/ is older than 36 hours
 *
 * What is not there counts as removed.
 */
#ifndef QUEUE_CLEANER_H
#define QUEUE_CLEANER_H

#include <stdbool.h>
#include <stddef.h>

#define CLEAN_TODO 'T'
#define CLEAN_MESSAGE 'M'
#define CLEAN_ALL 'A'
#define CLEAN_PID 'P'
#define CLEAN_DONE '+'
#define CLEAN_FAILED '!'

#define CLEANER_BATCH 32
#define ABANDONED (36 * 3600) /* seconds after which files of a dead qmail-queue go */

/*
 * Sends count (at most CLEANER_BATCH) requests of this kind and waits for the answers.
 * False: qmail-clean is gone.
 */
bool cleaner_ask(
    int to, int from, char kind, const unsigned long *ids, size_t count, char *answers);

#endif
