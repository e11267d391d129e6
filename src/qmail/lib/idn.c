/* Internationalised domain names: see idn.h. */
#include "lib/idn.h"

#include <string.h>

bool
idn_is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 127)
			return false;
	return true;
}

bool
idn_list_is_ascii(const struct list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!idn_is_ascii(list->items[i]))
			return false;
	return true;
}

enum idn
idn_to_ascii(struct str *to, const char *name)
{
	if (!idn_is_ascii(name))
		return idn_convert(to, name);
	str_set(to, name);
	return IDN_OK;
}

enum idn
idn_address(struct str *to, const char *address)
{
	const char *at = strrchr(address, '@');
	struct str domain = STR_INIT, whole = STR_INIT;
	enum idn how = at ? idn_to_ascii(&domain, at + 1) : IDN_OK;

	if (how == IDN_OK) {
		str_set_bytes(&whole, address, at ? (size_t)(at + 1 - address) : strlen(address));
		str_add_str(&whole, &domain);
		str_set_str(to, &whole);
	}
	str_free(&domain);
	str_free(&whole);
	return how;
}

static void
add_key(struct list *to, const char *item)
{
	struct str key = STR_INIT, domain = STR_INIT, whole = STR_INIT;
	size_t len = strcspn(item, ":"), begin;

	str_set_bytes(&key, item, len);
	begin = str_rfind(&key, '@') < len ? str_rfind(&key, '@') + 1 : 0;
	if (key.s[begin] == '.')
		begin++;
	str_set_bytes(&whole, item, begin);
	if (idn_to_ascii(&domain, key.s + begin) == IDN_OK) {
		str_add_str(&whole, &domain);
		str_add(&whole, item + len);
	} else {
		str_set(&whole, item);
	}
	list_add(to, whole.s);
	str_free(&key);
	str_free(&domain);
	str_free(&whole);
}

void
idn_keys(struct list *list)
{
	struct list keys = LIST_INIT;
	size_t i;

	list_index(list);
	if (idn_list_is_ascii(list))
		return;
	for (i = 0; i < list->count; i++)
		add_key(&keys, list->items[i]);
	list_free(list);
	*list = keys;
}

bool
idn_in_list(const struct list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (strcasestr(list->items[i], "xn--"))
			return true;
	return false;
}
