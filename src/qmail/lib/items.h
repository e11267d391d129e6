/*
 * Values of the tables of a declared site, qmail-users(5): items, each ended by NUL, and the last
 * days in them, numbers of days since 1970 in UTC that count to their end.
 */
#ifndef LIB_ITEMS_H
#define LIB_ITEMS_H

#include "lib/str.h"

enum items_day { ITEMS_DAY_LEFT, ITEMS_DAY_OVER, ITEMS_DAY_NONSENSE };

/* What stands behind a word and its blank, or NULL. */
const char *items_value(const struct str *items, const char *word);

enum items_day items_last_day(const char *number);

#endif
