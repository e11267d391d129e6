/* What is scanned of a message that is too large to be scanned as a whole. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "field.h"

/*
 * Adds the beginning and the end of a message, about size bytes, to to. Both are whole lines
 * where the message has lines. Where the end is in another part of a MIME message than the
 * beginning, that part's boundary and header come before it, and those of the multiparts around
 * it, so that a reader decodes it as it would in the whole; base64 goes on at a whole group.
 */
void sample(const char *message, size_t length, size_t size, struct bytes *to);

#endif
