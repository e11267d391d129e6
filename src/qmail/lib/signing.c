/* Signing of what originates here: see signing.h. */
#include "lib/signing.h"

enum control
signing_wanted(void)
{
	struct str path = STR_INIT;
	enum control wanted = control_line("signsocket", &path);

	if (wanted == CONTROL_OK && !path.len)
		wanted = CONTROL_ABSENT;
	str_free(&path);
	return wanted;
}
