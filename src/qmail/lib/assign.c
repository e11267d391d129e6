/* Which user an address belongs to: see assign.h. */
#include "lib/assign.h"

#include <string.h>

#define FIELDS 6
#define ID_MAX 4294967294UL /* 4294967295 stands for "no id" */

void
assignment_free(struct assignment *a)
{
	str_free(&a->key);
	str_free(&a->value);
	str_free(&a->rest);
}

/* Points the fields into value; NULL, or what is wrong with them. */
static const char *
take_value(struct assignment *a)
{
	const char *fields[FIELDS], *at = a->value.s, *end = a->value.s + a->value.len;
	unsigned long uid, gid;
	int i;

	for (i = 0; i < FIELDS; i++) {
		const char *stop = memchr(at, 0, (size_t)(end - at));

		if (!stop)
			return "too few fields";
		fields[i] = at;
		at = stop + 1;
	}
	if (at != end)
		return "too many fields";
	if (!*fields[0])
		return "no user";
	if (!number_parse(fields[1], ID_MAX, &uid))
		return "the uid is no number";
	if (!number_parse(fields[2], ID_MAX, &gid))
		return "the gid is no number";
	if (!uid)
		return "mail is never delivered as uid 0";
	if (fields[3][0] != '/')
		return "the home directory is no absolute path";
	a->user = fields[0];
	a->uid = (uid_t)uid;
	a->gid = (gid_t)gid;
	a->home = fields[3];
	a->dash = fields[4];
	a->ext = fields[5];
	return NULL;
}

const char *
assign_parse(struct assignment *a, const char *line, size_t len)
{
	const char *colon;

	if (!len || (line[0] != '=' && line[0] != '+'))
		return "neither = nor + in front";
	if (memchr(line, 0, len))
		return "a NUL in it";
	colon = memchr(line, ':', len);
	if (!colon || line[len - 1] != ':')
		return "no colon at its end";
	str_set_bytes(&a->key, line, (size_t)(colon - line));
	str_lower(&a->key);
	str_set_bytes(&a->value, colon + 1, len - (size_t)(colon + 1 - line));
	str_replace(&a->value, ':', 0);
	str_clear(&a->rest);
	return take_value(a);
}

/* The record of a->key, which leaves rest of the address. */
static enum cdbfile
look_up(struct cdbtable *table, struct assignment *a, const char *rest)
{
	enum cdbfile found = cdbtable_get(table, a->key.s, a->key.len, &a->value);

	if (found != CDBFILE_FOUND)
		return found;
	str_set(&a->rest, rest);
	return take_value(a) ? CDBFILE_ERROR : CDBFILE_FOUND;
}

static enum cdbfile
find_wildcard(struct cdbtable *table, struct assignment *a, const char *local)
{
	struct str ends = STR_INIT;
	enum cdbfile found = cdbtable_get(table, "", 0, &ends);
	size_t len = strlen(local);

	if (found == CDBFILE_FOUND) {
		a->key.s[0] = '+';
		found = CDBFILE_ABSENT;
		for (;; len--) {
			str_cut(&a->key, len + 1);
			if (!len || memchr(ends.s, a->key.s[len], ends.len))
				found = look_up(table, a, local + len);
			if (!len || found != CDBFILE_ABSENT)
				break;
		}
	}
	str_free(&ends);
	return found;
}

enum cdbfile
assign_find(struct assignment *a, const char *local)
{
	struct cdbtable table;
	enum cdbfile found = cdbtable_open(&table, ASSIGN_DATABASE);

	if (found != CDBFILE_FOUND)
		return found;
	str_set(&a->key, "=");
	str_add(&a->key, local);
	str_lower(&a->key);
	found = look_up(&table, a, "");
	if (found == CDBFILE_ABSENT)
		found = find_wildcard(&table, a, local);
	cdbtable_close(&table);
	return found;
}
