/* Constant databases with hostile offsets: a byte of key length, the key, the file. */
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"
#include "lib/cdbfile.h"

#include <stdio.h>

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
	MUST(cdbfile_get(path, bytes + 1, key_len, NULL) == found);
	str_free(&value);
	return 0;
}
