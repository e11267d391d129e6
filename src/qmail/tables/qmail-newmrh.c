/* qmail-newmrh: compiles control/morercpthosts. See qmail-newmrh(8). */
#include "tables/compile.h"

static const char *
bad_domain(const struct str *line)
{
	if (str_find(line, '@') < line->len || str_find(line, ' ') < line->len)
		return "is no domain";
	return NULL;
}

int
main(void)
{
	return compile_list("qmail-newmrh", "morercpthosts", bad_domain);
}
