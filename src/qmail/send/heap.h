/* Which message is due next: a binary heap by time; equal times come in the order added. */
#ifndef SEND_HEAP_H
#define SEND_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct heap_item {
	time_t when;
	unsigned long long turn;
	void *what;
};

struct heap {
	struct heap_item *items;
	size_t count, room;
	unsigned long long turns;
};

void heap_add(struct heap *heap, time_t when, void *what);
/* The first in time, or NULL. Valid until the heap changes. */
const struct heap_item *heap_first(const struct heap *heap);
/* Takes the first away; there must be one. */
void *heap_take(struct heap *heap);
/* Nothing is due later than now any more; the order among the items stays. */
void heap_hurry(struct heap *heap, time_t now);

/*
 * When a message of this age is to be tried again: birth + (sqrt(age) + skip) squared, so
 * the waiting time grows with the age. A birth in the future counts as now.
 */
time_t next_attempt(time_t birth, time_t now, unsigned skip);

#endif
