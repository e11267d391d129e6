/* Who waits for a slot, and since when: see queue.h. */
#include "queue.h"

#include "lock.h"

#include <stdlib.h>

static off_t
place(off_t table, unsigned number)
{
	return table + (off_t)(number * sizeof(struct waiter));
}

static int
by_coming(const void *a, const void *b)
{
	long long one = ((const struct waiter *)a)->came, other = ((const struct waiter *)b)->came;

	return (one > other) - (one < other);
}

unsigned
queue_before(int fd, off_t table, long long moment, struct waiter found[QUEUE_MAX])
{
	struct waiter all[QUEUE_MAX];
	ssize_t length = pread(fd, all, sizeof all, table);
	unsigned i, count = 0, known = length < 0 ? 0 : (unsigned)((size_t)length / sizeof *all);

	for (i = 0; i < known; i++)
		if (all[i].came > 0 && all[i].came < moment && is_locked(fd, place(table, i)))
			found[count++] = all[i];
	qsort(found, count, sizeof *found, by_coming);
	return count;
}

off_t
queue_join(int fd, off_t table, const struct waiter *who)
{
	unsigned i;

	for (i = 0; i < QUEUE_MAX; i++) {
		off_t where = place(table, i);

		if (is_locked(fd, where))
			continue;
		return pwrite(fd, who, sizeof *who, where) == sizeof *who &&
			       set_lock(fd, F_WRLCK, where)
			   ? where
			   : -1;
	}
	return -1;
}

void
queue_leave(int fd, off_t where)
{
	static const struct waiter nobody;
	ssize_t cleared;

	if (where < 0)
		return;
	cleared = pwrite(fd, &nobody, sizeof nobody, where);
	(void)cleared; /* It only spares others a question. */
	set_lock(fd, F_UNLCK, where);
}
