/* Constant databases: see cdbfile.h. libcdb checks every offset against the mapped size. */
#include "lib/cdbfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define VALUE_MAX (1U << 20)

enum cdbfile
cdbtable_open(struct cdbtable *table, const char *path)
{
	table->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (table->fd < 0)
		return errno == ENOENT ? CDBFILE_ABSENT : CDBFILE_ERROR;
	if (cdb_init(&table->db, table->fd) == 0)
		return CDBFILE_FOUND;
	close(table->fd);
	return CDBFILE_ERROR;
}

enum cdbfile
cdbtable_get(struct cdbtable *table, const void *key, size_t key_len, struct str *value)
{
	const void *data;
	unsigned len;
	int found;

	if (key_len > VALUE_MAX)
		return CDBFILE_ABSENT;
	found = cdb_find(&table->db, key, (unsigned)key_len);
	if (found <= 0)
		return found ? CDBFILE_ERROR : CDBFILE_ABSENT;
	len = cdb_datalen(&table->db);
	if (len > VALUE_MAX)
		return CDBFILE_ERROR;
	data = cdb_getdata(&table->db);
	if (!data)
		return CDBFILE_ERROR;
	if (value)
		str_set_bytes(value, data, len);
	return CDBFILE_FOUND;
}

void
cdbtable_close(struct cdbtable *table)
{
	cdb_free(&table->db);
	close(table->fd);
}

enum cdbfile
cdbfile_get(const char *path, const void *key, size_t key_len, struct str *value)
{
	struct cdbtable table;
	enum cdbfile result = cdbtable_open(&table, path);

	if (result != CDBFILE_FOUND)
		return result;
	result = cdbtable_get(&table, key, key_len, value);
	cdbtable_close(&table);
	return result;
}
