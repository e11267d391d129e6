/* The signer's answer: whatever it says, what is put on top of a message is fields, and no more. */
#include "fuzz/fuzz.h"
#include "sign/answer.h"

#include <string.h>

static void
check_fields(const struct str *fields)
{
	const char *at = fields->s, *end = at + fields->len;

	MUST(!str_has_nul(fields) && !strchr(fields->s, '\r'));
	MUST(!fields->len || (*at != ' ' && *at != '\t'));
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		MUST(stop && stop > at && stop - at <= 998);
		MUST(strspn(at, " \t") < (size_t)(stop - at));
		MUST(*at == ' ' || *at == '\t' || memchr(at, ':', (size_t)(stop - at)));
		at = stop + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct str fields = STR_INIT, why = STR_INIT;
	size_t i;

	str_set(&fields, "kept");
	if (answer_parse((const char *)bytes, len, &fields, &why)) {
		MUST(len && bytes[0] == 'K' && fields.len == len - 1);
		check_fields(&fields);
		return 0;
	}
	MUST(str_equal(&fields, "kept") && why.len);
	for (i = 0; i < why.len; i++)
		MUST(why.s[i] >= ' ' && why.s[i] < 0x7f);
	return 0;
}
