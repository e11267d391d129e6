/*
 * Sizes that were found by reading messages, kept for later sessions in the file
 * qmail-pop3d.sizes of the Maildir, which must be the working directory.
 *
 * Records, each ended by a NUL: the size on the wire, a blank, the bytes of the file, a blank, the
 * unique part of its name. Whoever owns the Maildir can write anything into it; then sizes are
 * wrong within what such a file could have, and nothing else is.
 */
#ifndef POP3_SIZES_H
#define POP3_SIZES_H

#include "lib/str.h"

#include <sys/types.h>

struct known_size {
	const char *name;
	unsigned long size, stored;
};

struct sizes {
	struct str text;
	struct known_size *known; /* sorted by name */
	size_t count;
};

#define SIZES_INIT                                                                                 \
	{                                                                                          \
		STR_INIT, NULL, 0                                                                  \
	}

/* Can a file of so many bytes have this size on the wire? */
bool size_possible(unsigned long size, unsigned long stored);

/* What is there of it: nothing, where it can't be read. */
void sizes_load(struct sizes *sizes);
/* The size of the message with this unique name of len bytes and a file of so many bytes. */
bool sizes_find(const struct sizes *sizes, const char *name, size_t len, unsigned long stored,
    unsigned long *size);
void sizes_free(struct sizes *sizes);

/* Adds a record to the text of a new file. */
void sizes_add(
    struct str *text, const char *name, size_t len, unsigned long stored, unsigned long size);
/* Puts it in the old one's place, whole or not at all. */
void sizes_save(const struct str *text);

#endif
