/*
 * Lists of short texts, and the look-ups that control files need.
 *
 * list_sort makes list_find work: a binary search without regard to ASCII case. A table
 * is a list whose items read "key:value"; table_find gives the value of a key.
 */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include "lib/str.h"

struct list {
	struct str bytes;   /* the items, each with its NUL */
	const char **items; /* set by list_sort or list_index */
	size_t count;
};

#define LIST_INIT                                                                                  \
	{                                                                                          \
		STR_INIT, NULL, 0                                                                  \
	}

void list_free(struct list *list);
void list_add(struct list *list, const char *item);        /* invalidates the index */
void list_index(struct list *list);                        /* items in the order added */
void list_sort(struct list *list);                         /* items in order of list_find */
bool list_find(const struct list *list, const char *item); /* after list_sort */

/* After list_sort: the text behind "key:", or NULL. Of several, the one added first. */
const char *table_find(const struct list *table, const char *key);

#endif
