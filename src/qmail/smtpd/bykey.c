/* Tables by address: see bykey.h. */
#include "smtpd/bykey.h"

#include "lib/control.h"
#include "lib/idn.h"
#include "lib/items.h"

#include <string.h>

/* The keys of one address, one after the other. */
struct keys {
	const struct str *whole;
	size_t local, next; /* next: of the local part, so much comes before the next key's end */
	struct str key;
	bool more;
};

static void
begin(struct keys *keys, const struct str *whole)
{
	size_t local = str_rfind(whole, '@');

	*keys = (struct keys){whole, local, local, STR_INIT, true};
	str_set_str(&keys->key, whole);
}

/* Puts the next key into keys->key; false behind the last. */
static bool
advance(struct keys *keys)
{
	const struct str *whole = keys->whole;
	size_t len = keys->next;

	if (!keys->more)
		return false;
	while (len && whole->s[len - 1] != '-' && whole->s[len - 1] != '+')
		len--;
	str_set_bytes(&keys->key, whole->s, len);
	str_add_bytes(&keys->key, whole->s + keys->local, whole->len - keys->local);
	keys->more = len > 0;
	keys->next = len ? len - 1 : 0;
	return true;
}

bool
bykey_whole(struct str *whole, const struct str *address)
{
	struct str host = STR_INIT;
	bool known = true;

	if (idn_address(whole, address->s) != IDN_OK)
		str_set_str(whole, address);
	if (str_rfind(address, '@') == address->len) {
		known = control_line_or_me("envnoathost", &host, "envnoathost") == CONTROL_OK;
		str_add_char(whole, '@');
		str_add_str(whole, &host);
	}
	str_lower(whole);
	str_free(&host);
	return known;
}

static enum bykey
open_table(struct cdbtable *table, const char *path)
{
	switch (cdbtable_open(table, path)) {
	case CDBFILE_FOUND: return BYKEY_FOUND;
	case CDBFILE_ABSENT: return BYKEY_NO_TABLE;
	case CDBFILE_ERROR: break;
	}
	return BYKEY_ERROR;
}

static enum bykey
result(enum cdbfile found)
{
	if (found == CDBFILE_ERROR)
		return BYKEY_ERROR;
	return found == CDBFILE_FOUND ? BYKEY_FOUND : BYKEY_ABSENT;
}

enum bykey
bykey_get(const char *path, const struct str *whole, struct str *value)
{
	struct cdbtable table;
	struct keys keys;
	enum bykey found = open_table(&table, path);

	if (found != BYKEY_FOUND)
		return found;
	begin(&keys, whole);
	do
		found = result(cdbtable_get(&table, keys.key.s, keys.key.len, value));
	while (found == BYKEY_ABSENT && advance(&keys));
	str_free(&keys.key);
	cdbtable_close(&table);
	return found;
}

/* Whether an item is the word, which may have a last day behind it. */
static enum bykey
is_word(const char *item, const char *word, size_t len)
{
	if (strncmp(item, word, len) != 0 || (item[len] && item[len] != ' '))
		return BYKEY_ABSENT;
	switch (item[len] ? items_last_day(item + len + 1) : ITEMS_DAY_LEFT) {
	case ITEMS_DAY_LEFT: return BYKEY_FOUND;
	case ITEMS_DAY_OVER: return BYKEY_ABSENT;
	case ITEMS_DAY_NONSENSE: break;
	}
	return BYKEY_ERROR;
}

/* A word with a blank would take a last day for its own. */
static enum bykey
among(const struct str *items, const char *word)
{
	const char *at = items->s, *end = at + items->len;
	enum bykey found = BYKEY_ABSENT;
	size_t len = strlen(word);

	if (strchr(word, ' '))
		return BYKEY_ABSENT;
	for (; found == BYKEY_ABSENT && at < end; at += strlen(at) + 1)
		found = is_word(at, word, len);
	return found;
}

static enum bykey
has(const struct cdbtable *table, const char *key, size_t len, const char *word)
{
	struct str items = STR_INIT;
	enum bykey found = result(cdbtable_get(table, key, len, &items));

	if (found == BYKEY_FOUND)
		found = among(&items, word);
	str_free(&items);
	return found;
}

enum bykey
bykey_has(const char *path, const struct str *whole, const char *word)
{
	struct cdbtable table;
	struct keys keys;
	enum bykey found = open_table(&table, path);

	if (found != BYKEY_FOUND)
		return found;
	found = has(&table, "*", 1, word);
	begin(&keys, whole);
	if (found == BYKEY_ABSENT && whole->len) {
		do
			found = has(&table, keys.key.s, keys.key.len, word);
		while (found == BYKEY_ABSENT && advance(&keys));
	}
	str_free(&keys.key);
	cdbtable_close(&table);
	return found;
}
