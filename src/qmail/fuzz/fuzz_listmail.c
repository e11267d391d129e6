/* A list's header: whatever came in, what goes out is the list's own, and is known as that when it
 * comes back. */
#include "fuzz/fuzz.h"

#include "local/listmail.h"

#include <string.h>

static const char id[] = "team.example.org";
static const char ours[] = "List-Id: <team.example.org>\nPrecedence: list\n";

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str header = STR_INIT, once = STR_INIT, twice = STR_INIT;
	const size_t added = sizeof ours - 1;

	str_set_bytes(&header, bytes, len);
	listmail_judge(&header, id);
	listmail_rewrite(&once, &header, id);
	MUST(once.len >= added && once.len <= len + added + 1);
	MUST(!memcmp(once.s + once.len - added, ours, added));
	/* A header in which no line is blank has none now. */
	MUST(strstr(header.s, "\n\n") || header.s[0] == '\n' || memchr(header.s, 0, len) ||
	     (!strstr(once.s, "\n\n") && once.s[0] != '\n'));
	MUST(listmail_judge(&once, id) != LISTMAIL_SEND);
	MUST(listmail_judge(&once, "another.example.org") != LISTMAIL_SEEN);
	/* Nothing but ours is left of its fields, so another time changes nothing. */
	listmail_rewrite(&twice, &once, id);
	MUST(str_equal_str(&twice, &once));
	str_free(&header);
	str_free(&once);
	str_free(&twice);
	return 0;
}
