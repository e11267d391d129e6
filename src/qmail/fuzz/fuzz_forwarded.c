/* The first lines of a message: what was sent on is known by them, whole or cut off behind them. */
#include "fuzz/fuzz.h"
#include "lib/str.h"
#include "remote/forwarded.h"

#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *text = (const char *)bytes;
	struct str copy = STR_INIT;
	size_t i;

	str_set_bytes(&copy, bytes, len);
	if (forwarded_begins(text, len)) {
		const char *second = memchr(text, '\n', len);

		MUST(second && str_starts(&copy, "Received: (qmail "));
		MUST(!strncmp(second + 1, "Delivered-To: ", 14));
		for (i = 0; i < (size_t)(second + 15 - text); i++)
			MUST(!forwarded_begins(text, i));
		MUST(forwarded_begins(text, i));
	}
	str_free(&copy);
	return 0;
}
