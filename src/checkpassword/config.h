/*
 * The configuration file: which databases to use, and how many failures are too many.
 *
 *	# comment
 *	database /etc/qmail-shadow
 *	failures /var/lib/checkpassword/failures
 *	failures-per-address 20
 *	failures-except 192.0.2.0/24
 */
#ifndef CONFIG_H
#define CONFIG_H

#include "failures.h"
#include "place.h"
#include <stdbool.h>
#include <stddef.h>

enum {
	CONFIG_MAX = 4096, /* bytes in the file */
	CONFIG_PATH_MAX = 1024,
	CONFIG_NETWORKS_MAX = 64,
};

struct config {
	char database[CONFIG_PATH_MAX];
	char logins[CONFIG_PATH_MAX];   /* LOGINS_FILE unless a line "logins PATH" says another */
	char failures[CONFIG_PATH_MAX]; /* "": none are counted */
	struct failures_limits limits;
	struct network
	    excepted[CONFIG_NETWORKS_MAX]; /* where the address and its network don't count */
	size_t excepted_count;
};

/* Parses text[0..length). False with one sentence in why[0..size) if it isn't exactly one
   "database PATH" line with an absolute path, plus comments, blank lines and further settings, each
   at most once but failures-except. */
bool config_parse(const char *text, size_t length, struct config *config, char *why, size_t size);

/* Reads the file on fd from its present position and parses it. */
bool config_read(int fd, struct config *config, char *why, size_t size);

bool config_excepts(const struct config *config, const struct place *place);

#endif
