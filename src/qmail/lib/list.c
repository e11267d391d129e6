/* Lists of short texts: see list.h. */
#include "lib/list.h"

#include "lib/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
list_free(struct list *list)
{
	str_free(&list->bytes);
	free(list->items);
	*list = (struct list)LIST_INIT;
}

void
list_add(struct list *list, const char *item)
{
	str_add_bytes(&list->bytes, item, strlen(item) + 1);
	list->count++;
	free(list->items);
	list->items = NULL;
}

void
list_index(struct list *list)
{
	const char *at = list->bytes.s;
	size_t i;

	free(list->items);
	list->items = mem_array(list->count, sizeof *list->items);
	for (i = 0; i < list->count; i++) {
		list->items[i] = at;
		at += strlen(at) + 1;
	}
}

/* The length of an item's key: all of it where it has no colon. */
static size_t
key_length(const char *item)
{
	return strcspn(item, ":");
}

static int
compare_keys(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = strncasecmp(a, b, a_len < b_len ? a_len : b_len);

	if (order)
		return order;
	return a_len < b_len ? -1 : a_len > b_len;
}

static int
by_key_then_place(const void *left, const void *right)
{
	const char *a = *(const char *const *)left, *b = *(const char *const *)right;
	int order = compare_keys(a, key_length(a), b, key_length(b));

	if (order)
		return order;
	return a < b ? -1 : a > b;
}

void
list_sort(struct list *list)
{
	list_index(list);
	if (list->count)
		qsort(list->items, list->count, sizeof *list->items, by_key_then_place);
}

/* The first item whose key is not below the given one; count where there is none. */
static size_t
lower_bound(const struct list *list, const char *key, size_t len)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *item = list->items[middle];

		if (compare_keys(item, key_length(item), key, len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
list_find(const struct list *list, const char *item)
{
	size_t len = key_length(item), i;

	for (i = lower_bound(list, item, len); i < list->count; i++) {
		const char *found = list->items[i];

		if (compare_keys(found, key_length(found), item, len))
			return false;
		if (!strcasecmp(found, item))
			return true;
	}
	return false;
}

const char *
table_find(const struct list *table, const char *key)
{
	size_t len = strlen(key), i;

	for (i = lower_bound(table, key, len); i < table->count; i++) {
		const char *found = table->items[i];
		size_t found_len = key_length(found);

		if (compare_keys(found, found_len, key, len))
			return NULL;
		if (found[found_len] == ':')
			return found + found_len + 1;
	}
	return NULL;
}
