/*
 * The file maildirsize of a Maildir that has a quota (Maildir++, as Courier and Dovecot keep it):
 * its first line says the quota under which it was counted, "5000000S", each further one how many
 * bytes and messages have come or, negative, gone. Their sums are what the Maildir holds.
 *
 * Pure functions; the file is the user's, so it may say anything.
 */
#ifndef LIB_MAILDIRSIZE_H
#define LIB_MAILDIRSIZE_H

#include "lib/str.h"

#define MAILDIRSIZE_NAME "maildirsize"
#define MAILDIRSIZE_MAX 5120 /* bytes; a longer file is due for a new count */

struct maildirsize {
	unsigned long bytes, count;
	unsigned lines; /* behind the first: one after a count */
};

/*
 * False where the text was counted under another quota than so many bytes, is cut short, sums up to
 * less than nothing, or says something else.
 */
bool maildirsize_parse(const char *text, size_t len, unsigned long limit, struct maildirsize *size);

/* The whole file after a count. */
void maildirsize_format(struct str *to, unsigned long limit, const struct maildirsize *size);

/* A line more. */
void maildirsize_add(struct str *to, long bytes, long count);

/* The bytes that a message's file name says it has, behind ",S=" and before its flags. */
bool maildirsize_of_name(const char *name, unsigned long *bytes);

#endif
