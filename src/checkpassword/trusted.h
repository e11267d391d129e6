/* Opening a file that decides who may log in. */
#ifndef TRUSTED_H
#define TRUSTED_H

#include <stddef.h>

/* Opens path for reading, or returns -1 with one sentence in why[0..size). Trusted is a regular
   file that belongs to root or to the program's effective user and that no one else may write,
   reached by an absolute path without symbolic links, dots or empty parts, through directories of
   the same owners in which no one else may replace it (not writable, or sticky). */
int trusted_open(const char *path, char *why, size_t size);

enum { TRUSTED_NAME_MAX = 255 };

/* The same in two steps, for a file that may have to be made: opens the directory that path is in,
   and copies the file's name; then the file in it, with access O_RDONLY or O_RDWR. Where the second
   step fails why has no path. errno is ENOENT only if there is no such directory, or file. */
int trusted_directory(const char *path, char name[TRUSTED_NAME_MAX + 1], char *why, size_t size);
int trusted_open_in(int directory, const char *name, int access, char *why, size_t size);

#endif
