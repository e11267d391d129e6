/*
 * Dynamic byte strings.
 *
 * A struct str holds len bytes at s, any value among them, followed by a NUL that does not
 * count; an initialised empty one has s == "" so that it can always be printed. Growth is
 * geometric; running out of memory is mem.h's business, so nothing here fails.
 */
#ifndef LIB_STR_H
#define LIB_STR_H

#include <stdbool.h>
#include <stddef.h>

struct str {
	char *s;
	size_t len;
	size_t cap; /* 0 while s is the shared empty string */
};

extern char str_empty[1];
#define STR_INIT                                                                                   \
	{                                                                                          \
		str_empty, 0, 0                                                                    \
	}

void str_free(struct str *to); /* back to STR_INIT */
void str_wipe(struct str *to); /* empty, and no byte of what was in it is left */
void str_reserve(struct str *to, size_t more);
void str_clear(struct str *to);           /* length 0, memory kept */
void str_cut(struct str *to, size_t len); /* shortens to len; longer is ignored */

void str_set(struct str *to, const char *text);
void str_set_bytes(struct str *to, const void *bytes, size_t len);
void str_set_str(struct str *to, const struct str *from);

void str_add(struct str *to, const char *text);
void str_add_bytes(struct str *to, const void *bytes, size_t len);
void str_add_str(struct str *to, const struct str *from);
void str_add_char(struct str *to, char c);
void str_add_number(struct str *to, unsigned long number);
void str_addf(struct str *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

void str_lower(struct str *to);    /* ASCII only */
void str_trim_end(struct str *to); /* drops blanks, tabs, CR and LF at the end */
/* Replaces every occurrence of a byte; returns how many. */
size_t str_replace(struct str *to, char from, char with);

bool str_equal(const struct str *a, const char *b);
bool str_equal_str(const struct str *a, const struct str *b);
bool str_equal_nocase(const struct str *a, const char *b); /* ASCII only */
bool str_starts(const struct str *a, const char *prefix);
bool str_starts_nocase(const struct str *a, const char *prefix);
bool str_ends_nocase(const struct str *a, const char *suffix);
bool str_has_nul(const struct str *a);

/* Whether the len bytes are this word; ASCII letters in either case. */
bool word_is(const char *bytes, size_t len, const char *word);

/* Offsets of the first and last c, or len where there is none. */
size_t str_find(const struct str *a, char c);
size_t str_rfind(const struct str *a, char c);

/*
 * A whole decimal number without sign or blanks, up to max. False for an empty string,
 * other bytes, or a value above max; *value is then as it was.
 */
bool number_parse(const char *text, unsigned long max, unsigned long *value);

#endif
