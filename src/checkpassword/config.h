/*
 * The configuration file: which password database to use.
 *
 *	# comment
 *	database /etc/qmail-shadow
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>

enum {
	CONFIG_MAX = 4096, /* bytes in the file */
	CONFIG_PATH_MAX = 1024,
};

struct config {
	char database[CONFIG_PATH_MAX];
};

/* Parses text[0..length). False with one sentence in why[0..size) if it isn't exactly one
   "database PATH" line with an absolute path, plus comments and blank lines. */
bool config_parse(const char *text, size_t length, struct config *config, char *why, size_t size);

/* Reads the file on fd from its present position and parses it. */
bool config_read(int fd, struct config *config, char *why, size_t size);

#endif
