/* Values of tables: see items.h. */
#include "lib/items.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#define DAY 86400

const char *
items_value(const struct str *items, const char *word)
{
	const char *at = items->s, *end = at + items->len;
	size_t len = strlen(word);

	for (; at < end; at += strlen(at) + 1)
		if (!strncmp(at, word, len) && at[len] == ' ')
			return at + len + 1;
	return NULL;
}

enum items_day
items_last_day(const char *number)
{
	unsigned long day;

	if (!number_parse(number, ULONG_MAX / DAY, &day))
		return ITEMS_DAY_NONSENSE;
	return time(NULL) / DAY > (time_t)day ? ITEMS_DAY_OVER : ITEMS_DAY_LEFT;
}
