/*
 * Lists and tables of domains: an item is NAME, or NAME:VALUE; NAME is a host name, or ".name"
 * for every name that ends so, or empty for every name.
 */
#ifndef REMOTE_BYDOMAIN_H
#define REMOTE_BYDOMAIN_H

#include "lib/list.h"

/* The value for a host: of the exact name, else of the longest ending, else of the empty
 * name; NULL where there is none. An item without a colon is no part of the table. */
const char *table_by_domain(const struct list *table, const char *host);
/* The same for a list: is there an item, itself without a colon, that fits? */
bool list_by_domain(const struct list *list, const char *host);

#endif
