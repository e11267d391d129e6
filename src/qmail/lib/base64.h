/* Base64: RFC 4648 section 4, as SMTP's AUTH uses it. */
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include "lib/str.h"

/* Adds len bytes, encoded on one line. */
void base64_encode(struct str *to, const void *bytes, size_t len);

/*
 * Replaces to by the bytes that text stands for. False for other characters, a length that
 * is no multiple of four, misplaced padding, or bits set that padding should leave zero.
 */
bool base64_decode(struct str *to, const char *text, size_t len);

#endif
