/* Constant databases: see cdbfile.h. libcdb checks every offset against the mapped size. */
#include "lib/cdbfile.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define VALUE_MAX (1U << 20)

static enum cdbfile
look_up(struct cdb *db, const void *key, unsigned key_len, struct str *value)
{
	int found = cdb_find(db, key, key_len);
	unsigned len;
	const void *data;

	if (found <= 0)
		return found ? CDBFILE_ERROR : CDBFILE_ABSENT;
	len = cdb_datalen(db);
	if (len > VALUE_MAX)
		return CDBFILE_ERROR;
	data = cdb_getdata(db);
	if (!data)
		return CDBFILE_ERROR;
	if (value)
		str_set_bytes(value, data, len);
	return CDBFILE_FOUND;
}

enum cdbfile
cdbfile_get(const char *path, const void *key, size_t key_len, struct str *value)
{
	enum cdbfile result = CDBFILE_ERROR;
	struct cdb db;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? CDBFILE_ABSENT : CDBFILE_ERROR;
	if (key_len <= VALUE_MAX && cdb_init(&db, fd) == 0) {
		result = look_up(&db, key, (unsigned)key_len, value);
		cdb_free(&db);
	}
	close(fd);
	return result;
}
