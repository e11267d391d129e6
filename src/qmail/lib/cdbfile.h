/* Looking keys up in constant databases (cdb); they are written through libcdb. */
#ifndef LIB_CDBFILE_H
#define LIB_CDBFILE_H

#include "lib/str.h"

#include <stdint.h>

enum cdbfile { CDBFILE_ERROR = -1, CDBFILE_ABSENT = 0, CDBFILE_FOUND = 1 };

/*
 * Looks key up in the file. ABSENT: no such key, or no such file. FOUND: value (may be
 * NULL) holds the first record's data, at most 1 MiB. A file that can't be read or whose
 * offsets point outside it is an ERROR.
 */
enum cdbfile cdbfile_get(const char *path, const void *key, size_t key_len, struct str *value);

/* The same in two steps, for several keys of one file. */
struct cdbtable {
	int fd;
	uint64_t size;
};

/* FOUND: the table is open. ABSENT: there is no such file. */
enum cdbfile cdbtable_open(struct cdbtable *table, const char *path);
enum cdbfile cdbtable_get(
    const struct cdbtable *table, const void *key, size_t key_len, struct str *value);
void cdbtable_close(struct cdbtable *table);

#endif
