/* Exit codes and reasons of a queueing program: one printable line for SMTP. */
#include "fuzz/fuzz.h"
#include "lib/submit.h"

#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct submit_result result;
	size_t i;

	if (!len)
		return 0;
	submit_explain(bytes[0], (const char *)bytes + 1, len - 1, &result);
	MUST(strnlen(result.text, sizeof result.text) < sizeof result.text);
	for (i = 0; result.text[i]; i++)
		MUST(result.text[i] >= ' ' && result.text[i] <= '~');
	MUST(bytes[0] == 0 || (i && result.text[i - 1] == ')'));
	MUST((result.class == SUBMIT_ACCEPTED) == (bytes[0] == 0));
	return 0;
}
