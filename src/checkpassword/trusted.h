/* Opening a file that decides who may log in. */
#ifndef TRUSTED_H
#define TRUSTED_H

#include <stddef.h>

/* Opens path for reading, or returns -1 with one sentence in why[0..size). Trusted is a regular
   file that belongs to root or to the program's effective user and that no one else may write,
   reached by an absolute path without symbolic links, dots or empty parts, through directories of
   the same owners in which no one else may replace it (not writable, or sticky). */
int trusted_open(const char *path, char *why, size_t size);

#endif
