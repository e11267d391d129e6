/* Answers of the service that knows MTA-STS policies; behind the first NUL, a mail exchanger. */
#include "fuzz/fuzz.h"
#include "remote/sts.h"

#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct sts sts = STS_INIT;
	const uint8_t *end = len ? memchr(bytes, 0, len) : NULL;
	size_t answer = end ? (size_t)(end - bytes) : len, i;
	struct str mx = STR_INIT;

	sts_parse(&sts, (const char *)bytes, answer);
	MUST(sts.mode != STS_UNASKED);
	MUST((sts.mode == STS_TESTING || sts.mode == STS_ENFORCE) == (sts.mx.count > 0));
	MUST(sts.mode != STS_LATER || !strchr(sts.why.s, '\n'));
	if (end)
		str_set_bytes(&mx, end + 1, len - answer - 1);
	if (sts_names(&sts, mx.s))
		MUST(mx.len);
	for (i = 0; i < sts.mx.count; i++)
		if (sts.mx.items[i][0] != '*' && strcmp(sts.mx.items[i], ".") != 0)
			MUST(sts_names(&sts, sts.mx.items[i]));
	list_free(&sts.mx);
	str_free(&sts.why);
	str_free(&mx);
	return 0;
}
