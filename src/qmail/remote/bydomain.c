/* Lists and tables of domains: see bydomain.h. */
#include "remote/bydomain.h"

#include <string.h>

/* The next key to look for behind key, for which the first one is host: NULL after "". */
static const char *
wider(const char *key)
{
	const char *dot;

	if (!*key)
		return NULL;
	dot = *key == '[' ? NULL : strchr(key + 1, '.');
	return dot ? dot : "";
}

const char *
table_by_domain(const struct list *table, const char *host)
{
	const char *key;

	for (key = host; key; key = wider(key)) {
		const char *value = table_find(table, key);

		if (value)
			return value;
	}
	return NULL;
}

bool
list_by_domain(const struct list *list, const char *host)
{
	const char *key;

	for (key = host; key && *key; key = wider(key))
		if (list_find(list, key))
			return true;
	return false;
}
