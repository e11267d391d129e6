/* Names in a Maildir: see maildirname.h. */
#include "local/maildirname.h"

void
maildir_add_host(struct str *to, const char *host)
{
	for (; *host; host++) {
		if (*host == '/')
			str_add(to, "\\057");
		else if (*host == ':')
			str_add(to, "\\072");
		else
			str_add_char(to, *host);
	}
}
