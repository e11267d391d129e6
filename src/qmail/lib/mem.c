/* Memory that is always there: see mem.h. */
#include "lib/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
say_and_exit(void)
{
	static const char text[] = "out of memory\n";

	if (write(2, text, sizeof text - 1) < 0)
		_exit(111);
	_exit(111);
}

void (*mem_exhausted)(void) = say_and_exit;

static size_t
checked_product(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total) || total > MEM_LIMIT) {
		mem_exhausted();
		abort();
	}
	return total ? total : 1;
}

void *
mem_resize(void *old, size_t count, size_t size)
{
	size_t total = checked_product(count, size);
	void *block;

	while (!(block = realloc(old, total)))
		mem_exhausted();
	return block;
}

void *
mem_alloc(size_t size)
{
	return mem_resize(NULL, size, 1);
}

void *
mem_array(size_t count, size_t size)
{
	size_t total = checked_product(count, size);
	void *block = mem_resize(NULL, total, 1);

	memset(block, 0, total);
	return block;
}
