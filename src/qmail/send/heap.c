/* Which message is due next: see heap.h. */
#include "send/heap.h"

#include "lib/mem.h"

#include <stdlib.h>

static bool
before(const struct heap_item *a, const struct heap_item *b)
{
	return a->when != b->when ? a->when < b->when : a->turn < b->turn;
}

void
heap_add(struct heap *heap, time_t when, void *what)
{
	struct heap_item item = {when, heap->turns++, what};
	size_t at = heap->count;

	if (heap->count == heap->room) {
		heap->room = heap->room ? 2 * heap->room : 64;
		heap->items = mem_resize(heap->items, heap->room, sizeof *heap->items);
	}
	heap->count++;
	while (at && before(&item, &heap->items[(at - 1) / 2])) {
		heap->items[at] = heap->items[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap->items[at] = item;
}

const struct heap_item *
heap_first(const struct heap *heap)
{
	return heap->count ? heap->items : NULL;
}

void *
heap_take(struct heap *heap)
{
	void *what = heap->items[0].what;
	struct heap_item last = heap->items[--heap->count];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < heap->count) {
		if (child + 1 < heap->count && before(&heap->items[child + 1], &heap->items[child]))
			child++;
		if (!before(&heap->items[child], &last))
			break;
		heap->items[at] = heap->items[child];
		at = child;
	}
	heap->items[at] = last;
	return what;
}

/*
 * Cutting off times at now can't put a parent behind its child, but among equal times the
 * turn decides, which must then follow the old order: so the items are added anew, in it.
 */
void
heap_hurry(struct heap *heap, time_t now)
{
	struct heap fresh = {.turns = heap->turns};

	while (heap->count) {
		time_t when = heap->items[0].when;

		heap_add(&fresh, when < now ? when : now, heap_take(heap));
	}
	free(heap->items);
	*heap = fresh;
}

static time_t
square_root(time_t number)
{
	time_t root = 0, bit = (time_t)1 << 31;

	for (; bit; bit >>= 1)
		if (root + bit <= number / (root + bit))
			root += bit;
	return root;
}

time_t
next_attempt(time_t birth, time_t now, unsigned skip)
{
	time_t root = now > birth ? square_root(now - birth) + skip : (time_t)skip;

	return (now > birth ? birth : now) + root * root;
}
