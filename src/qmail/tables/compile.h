/*
 * Writing a constant database in place of another: complete, on disk and by one rename, or
 * not at all. Every function ends the process with 111, and a sentence, when it fails.
 */
#ifndef TABLES_COMPILE_H
#define TABLES_COMPILE_H

#include "lib/str.h"

#include <cdb.h>

struct compiler {
	const char *program, *path;
	struct str temporary;
	struct cdb_make make;
	int fd;
};

/* Ends the process: "PROGRAM: fatal: ..."; a database that was begun is removed. */
_Noreturn void compile_fail(struct compiler *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void compile_begin(struct compiler *c, const char *program, const char *path);
/* Of several records with one key the first is found. */
void compile_add(
    struct compiler *c, const void *key, size_t key_len, const void *value, size_t value_len);
void compile_end(struct compiler *c);

/*
 * Compiles the lines of a list in control/NAME to control/NAME.cdb, in lower case and with
 * empty values; bad, where it is not NULL, says what is wrong with a line, or NULL.
 */
int compile_list(const char *program, const char *name, const char *(*bad)(const struct str *line));

#endif
