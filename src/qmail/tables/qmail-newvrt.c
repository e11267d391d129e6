/* qmail-newvrt: compiles control/validrcptto. See qmail-newvrt(8). */
#include "tables/compile.h"

static const char *
bad_recipient(const struct str *line)
{
	size_t at = str_rfind(line, '@');

	if (at == line->len)
		return "has no @domain";
	if (at + 1 == line->len)
		return "has no domain behind its @";
	return NULL;
}

int
main(void)
{
	return compile_list("qmail-newvrt", "validrcptto", bad_recipient);
}
