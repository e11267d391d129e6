/*
 * Constant databases with hostile offsets: a byte of key length, the key, the file. What libcdb
 * finds in one must be found, and the same; what it doesn't must not be.
 */
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"
#include "lib/cdbfile.h"

#include <cdb.h>
#include <stdio.h>
#include <string.h>

static void
compare(int fd, const uint8_t *key, size_t key_len, enum cdbfile found, const struct str *value)
{
	struct cdb db;
	int found_too;

	if (cdb_init(&db, fd) < 0) {
		MUST(found == CDBFILE_ERROR);
		return;
	}
	found_too = cdb_find(&db, key, (unsigned)key_len);
	MUST(found_too <= 0 || found == CDBFILE_FOUND);
	MUST(found_too != 0 || found != CDBFILE_FOUND);
	MUST(found_too <= 0 ||
	     (cdb_datalen(&db) == value->len && !memcmp(cdb_getdata(&db), value->s, value->len)));
	cdb_free(&db);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static char path[32];
	static int fd = -1;
	struct str value = STR_INIT;
	size_t key_len;
	enum cdbfile found;

	if (!len)
		return 0;
	if (fd < 0) {
		fd = scratch_open();
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	}
	key_len = bytes[0] < len - 1 ? bytes[0] : len - 1;
	scratch_fill(fd, bytes + 1 + key_len, len - 1 - key_len);
	found = cdbfile_get(path, bytes + 1, key_len, &value);
	MUST(found == CDBFILE_FOUND || value.len == 0);
	MUST(value.len <= len);
	compare(fd, bytes + 1, key_len, found, &value);
	MUST(cdbfile_get(path, bytes + 1, key_len, NULL) == found);
	str_free(&value);
	return 0;
}
