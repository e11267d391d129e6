/* Dynamic byte strings: see str.h. */
#include "lib/str.h"

#include "lib/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char str_empty[1] = "";

void
str_free(struct str *to)
{
	if (to->cap)
		free(to->s);
	*to = (struct str)STR_INIT;
}

void
str_reserve(struct str *to, size_t more)
{
	size_t need, cap;

	if (__builtin_add_overflow(to->len, more, &need) || need >= MEM_LIMIT)
		need = MEM_LIMIT; /* refused by mem_resize below */
	if (need < to->cap)
		return;
	cap = to->cap ? to->cap : 32;
	while (cap <= need)
		cap *= 2;
	to->s = mem_resize(to->cap ? to->s : NULL, cap, 1);
	to->cap = cap;
	to->s[to->len] = 0;
}

void
str_clear(struct str *to)
{
	str_cut(to, 0);
}

void
str_wipe(struct str *to)
{
	if (to->cap)
		explicit_bzero(to->s, to->cap);
	to->len = 0;
}

void
str_cut(struct str *to, size_t len)
{
	if (len >= to->len)
		return;
	to->len = len;
	to->s[len] = 0;
}

void
str_add_bytes(struct str *to, const void *bytes, size_t len)
{
	if (!len)
		return;
	str_reserve(to, len);
	memcpy(to->s + to->len, bytes, len);
	to->len += len;
	to->s[to->len] = 0;
}

void
str_add(struct str *to, const char *text)
{
	str_add_bytes(to, text, strlen(text));
}

void
str_add_str(struct str *to, const struct str *from)
{
	str_add_bytes(to, from->s, from->len);
}

void
str_add_char(struct str *to, char c)
{
	str_add_bytes(to, &c, 1);
}

void
str_add_number(struct str *to, unsigned long number)
{
	str_addf(to, "%lu", number);
}

void
str_addf(struct str *to, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len <= 0)
		return;
	str_reserve(to, (size_t)len);
	va_start(args, format);
	vsnprintf(to->s + to->len, (size_t)len + 1, format, args);
	va_end(args);
	to->len += (size_t)len;
}

void
str_set_bytes(struct str *to, const void *bytes, size_t len)
{
	str_clear(to);
	str_add_bytes(to, bytes, len);
}

void
str_set(struct str *to, const char *text)
{
	str_set_bytes(to, text, strlen(text));
}

void
str_set_str(struct str *to, const struct str *from)
{
	if (to != from)
		str_set_bytes(to, from->s, from->len);
}

void
str_lower(struct str *to)
{
	size_t i;

	for (i = 0; i < to->len; i++)
		if (to->s[i] >= 'A' && to->s[i] <= 'Z')
			to->s[i] = (char)(to->s[i] - 'A' + 'a');
}

void
str_trim_end(struct str *to)
{
	size_t len = to->len;

	while (len && strchr(" \t\r\n", to->s[len - 1]) && to->s[len - 1])
		len--;
	str_cut(to, len);
}

size_t
str_replace(struct str *to, char from, char with)
{
	size_t i, count = 0;

	for (i = 0; i < to->len; i++) {
		if (to->s[i] == from) {
			to->s[i] = with;
			count++;
		}
	}
	return count;
}

bool
str_equal(const struct str *a, const char *b)
{
	return a->len == strlen(b) && !memcmp(a->s, b, a->len);
}

bool
str_equal_str(const struct str *a, const struct str *b)
{
	return a->len == b->len && !memcmp(a->s, b->s, a->len);
}

bool
str_equal_nocase(const struct str *a, const char *b)
{
	return word_is(a->s, a->len, b);
}

bool
str_starts(const struct str *a, const char *prefix)
{
	size_t len = strlen(prefix);

	return a->len >= len && !memcmp(a->s, prefix, len);
}

bool
str_starts_nocase(const struct str *a, const char *prefix)
{
	size_t len = strlen(prefix);

	return a->len >= len && !strncasecmp(a->s, prefix, len);
}

bool
str_ends_nocase(const struct str *a, const char *suffix)
{
	size_t len = strlen(suffix);

	return a->len >= len && !strncasecmp(a->s + a->len - len, suffix, len);
}

bool
word_is(const char *bytes, size_t len, const char *word)
{
	return strlen(word) == len && !strncasecmp(word, bytes, len);
}

bool
str_has_nul(const struct str *a)
{
	return memchr(a->s, 0, a->len) != NULL;
}

size_t
str_find(const struct str *a, char c)
{
	const char *at = memchr(a->s, c, a->len);

	return at ? (size_t)(at - a->s) : a->len;
}

size_t
str_rfind(const struct str *a, char c)
{
	const char *at = memrchr(a->s, c, a->len);

	return at ? (size_t)(at - a->s) : a->len;
}

bool
number_parse(const char *text, unsigned long max, unsigned long *value)
{
	unsigned long sum = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned long digit = (unsigned long)(unsigned char)*text - '0';

		if (digit > 9 || sum > max / 10 || sum * 10 > max - digit)
			return false;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return true;
}
