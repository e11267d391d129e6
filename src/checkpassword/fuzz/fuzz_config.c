/* The configuration file. */
#include "config.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config;
	char why[256] = "";

	if (config_parse((const char *)data, size, &config, why, sizeof why)) {
		if (config.database[0] != '/' || strpbrk(config.database, "\n"))
			abort();
	} else if (!*why) {
		abort();
	}
	return 0;
}
