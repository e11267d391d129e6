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

/* None of the specials, no blanks, nothing unprintable; bytes above 127 are letters somewhere. */
static bool
is_without(const char *bytes, size_t len, const char *specials)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)bytes[i] <= ' ' || bytes[i] == 127 || strchr(specials, bytes[i]))
			return false;
	return len > 0;
}

/* The length of a quoted string at the start, with its quotes; 0 where its end is missing. */
static size_t
quoted_length(const char *text)
{
	size_t i;

	for (i = 1; text[i] && text[i] != '"'; i++)
		if ((unsigned char)text[i] < ' ' || (text[i] == '\\' && !text[++i]))
			return 0;
	return text[i] == '"' && i > 1 ? i + 1 : 0;
}

bool
addr_is_bare(const char *text)
{
	const char *at = strrchr(text, '@'), *domain = at ? at + 1 : NULL;
	size_t len = strlen(text), local = at ? (size_t)(at - text) : len;

	if (!len || len > ADDR_MAX)
		return false;
	if (*text == '"' ? quoted_length(text) != local : !is_without(text, local, ",;:<>()[]\"\\"))
		return false;
	if (!domain)
		return text[len - 1] != '/'; /* a Maildir without its ./ */
	return is_without(
	    domain, strlen(domain), *domain == '[' ? "@,;<>()\"\\/" : "@,;:<>()[]\"\\/");
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
