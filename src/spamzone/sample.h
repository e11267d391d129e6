/* What is scanned of a message that is too large to be scanned as a whole. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "field.h"

/*
 * Adds the beginning and the end of a message, about size bytes, to to. Both are whole lines
 * where the message has lines. SpamAssassin looks at no more than the first 50000 bytes of a
 * part's text, so the end is a part of its own and not longer. Its header is that of the part
 * which it is from, behind the boundaries and the headers of the multiparts around that, so that
 * a reader decodes it as it would in the whole; base64 begins at a whole group. A message of one
 * part becomes one of two.
 */
void sample(const char *message, size_t length, size_t size, struct bytes *to);

#endif
