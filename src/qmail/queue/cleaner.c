/* Asking qmail-clean: see cleaner.h. A batch fits into a pipe, so neither side can block. */
#include "queue/cleaner.h"

#include "lib/bio.h"

bool
cleaner_ask(int to, int from, char kind, const unsigned long *ids, size_t count, char *answers)
{
	struct str request = STR_INIT;
	size_t i, have = 0;
	bool sent;

	for (i = 0; i < count; i++) {
		str_add_char(&request, kind);
		if (kind != CLEAN_PID)
			str_add_number(&request, ids[i]);
		str_add_char(&request, 0);
	}
	sent = fd_write_all(to, request.s, request.len);
	str_free(&request);
	while (sent && have < count) {
		ssize_t got = fd_read(from, answers + have, count - have);

		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	return sent;
}
