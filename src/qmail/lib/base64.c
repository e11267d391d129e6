/* Base64: see base64.h. */
#include "lib/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct str *to, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	for (; len; at += 3) {
		size_t part = len < 3 ? len : 3, i;
		unsigned long word = 0;

		for (i = 0; i < 3; i++)
			word = word << 8 | (i < part ? at[i] : 0UL);
		for (i = 0; i < 4; i++)
			str_add_char(to, i <= part ? alphabet[word >> (18 - 6 * i) & 63] : '=');
		len -= part;
	}
}

static int
value_of(char c)
{
	const char *found = c ? strchr(alphabet, c) : NULL;

	return found ? (int)(found - alphabet) : -1;
}

bool
base64_decode(struct str *to, const char *text, size_t len)
{
	size_t pad = 0, at;

	str_clear(to);
	if (len % 4)
		return false;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	for (at = 0; at < len; at += 4) {
		size_t digits = at + 4 == len ? 4 - pad : 4, i;
		unsigned long word = 0;

		for (i = 0; i < 4; i++) {
			int value = i < digits ? value_of(text[at + i]) : 0;

			if (value < 0)
				return false;
			word = word << 6 | (unsigned long)value;
		}
		for (i = 0; i + 1 < digits; i++)
			str_add_char(to, (char)(unsigned char)(word >> (16 - 8 * i) & 255));
		if (digits < 4 && (word >> (digits == 3 ? 0 : 8) & 255))
			return false;
	}
	return true;
}
