/* Addresses: see addr.h. */
#include "lib/addr.h"

#include <string.h>

/* RFC 5321 section 4.1.2: the characters of a Dot-string besides letters, digits, dots. */
static bool
plain(const char *local, size_t len)
{
	size_t i;

	if (!len || local[0] == '.' || local[len - 1] == '.')
		return false;
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)local[i];

		if (c == '.' && local[i - 1] == '.')
			return false;
		if (c >= 128 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z'))
			continue;
		if (!c || !strchr("!#$%&'*+-/=?^_`{|}~.", c))
			return false;
	}
	return true;
}

void
addr_split(const struct str *address, size_t *local_len, const char **domain)
{
	size_t at = str_rfind(address, '@');

	*local_len = at;
	*domain = at < address->len ? address->s + at + 1 : NULL;
}

void
addr_quote(struct str *to, const struct str *address)
{
	const char *domain;
	size_t len, i;

	addr_split(address, &len, &domain);
	if (!address->len || plain(address->s, len)) {
		str_add_str(to, address);
		return;
	}
	str_add_char(to, '"');
	for (i = 0; i < len; i++) {
		if (memchr("\r\n\"\\", address->s[i], 4))
			str_add_char(to, '\\');
		str_add_char(to, address->s[i]);
	}
	str_add_char(to, '"');
	str_add_bytes(to, address->s + len, address->len - len);
}

void
add_printable(struct str *to, const char *bytes, size_t len, size_t max)
{
	size_t i;

	for (i = 0; i < len && i < max; i++) {
		unsigned char c = (unsigned char)bytes[i];

		str_add_char(to, c < 32 || c > 126 ? '?' : (char)c);
	}
}
