/*
 * Control files: control/NAME below the home, which must be the working directory.
 *
 * Blanks and tabs at the end of a line do not count. A file is read up to CONTROL_SIZE
 * bytes; a longer one is an error, as is one that exists and can't be read, so a site whose
 * policy can't be known refuses mail for a while instead of applying another policy.
 * A line with a NUL in it is an error too.
 */
#ifndef LIB_CONTROL_H
#define LIB_CONTROL_H

#include "lib/list.h"
#include "lib/str.h"

#define CONTROL_SIZE ((size_t)64 << 20)

enum control { CONTROL_ERROR = -1, CONTROL_ABSENT = 0, CONTROL_OK = 1 };

/* The first line; ABSENT for no file. An empty file gives OK and an empty value. */
enum control control_line(const char *name, struct str *value);
/* The same, with control/me where name is absent; fallback where that is absent as well
 * (NULL: ABSENT is the answer then). */
enum control control_line_or_me(const char *name, struct str *value, const char *fallback);
/* A number up to max. A first line that is none is an error; *value stays when absent. */
enum control control_number(const char *name, unsigned long max, unsigned long *value);
/* Every line that is neither empty nor a comment (#), not sorted. */
enum control control_list(const char *name, struct list *lines);
/* The same from any file, for the tables' compilers; the path is taken as it is. */
enum control file_list(const char *path, struct list *lines);
/* A whole file, at most max bytes (more is an error). */
enum control file_read(const char *path, struct str *content, size_t max);

#endif
