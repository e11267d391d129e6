/* The lines of .qmail files. */
#include "fuzz/fuzz.h"

#include "local/dotqmail.h"

#include <string.h>

static void
check(enum dot_kind kind, const struct str *argument)
{
	char first = argument->s[0], last = argument->len ? argument->s[argument->len - 1] : 0;

	switch (kind) {
	case DOT_MALFORMED: MUST(argument->len); return;
	case DOT_BLANK_FIRST: MUST(!argument->len); return;
	case DOT_MBOX: MUST((first == '/' || first == '.') && last != '/'); break;
	case DOT_MAILDIR: MUST((first == '/' || first == '.') && last == '/'); break;
	case DOT_FORWARD:
		MUST(argument->len && (first == '"' || !strpbrk(argument->s, " \t,<>")));
		break;
	default: break;
	}
	MUST(!str_has_nul(argument));
	MUST(argument->s[argument->len] == 0);
	MUST(!last || !strchr(" \t\r\n", last));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str argument = STR_INIT;
	struct dotqmail file;
	enum dot_kind kind;
	size_t before = 0;

	dotqmail_open(&file, (const char *)bytes, len);
	while ((kind = dotqmail_next(&file, &argument)) != DOT_END) {
		MUST(file.line > before);
		before = file.line;
		check(kind, &argument);
	}
	str_free(&argument);
	return 0;
}
