/* Base64 as AUTH sends it: what can be decoded is the encoding of what comes out. */
#include "fuzz/fuzz.h"
#include "lib/base64.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str text = STR_INIT, decoded = STR_INIT, again = STR_INIT;

	str_set_bytes(&text, bytes, len);
	if (base64_decode(&decoded, text.s, text.len)) {
		base64_encode(&again, decoded.s, decoded.len);
		MUST(str_equal_str(&text, &again));
	}
	str_clear(&again);
	base64_encode(&again, bytes, len);
	MUST(base64_decode(&decoded, again.s, again.len) && str_equal_str(&decoded, &text));
	str_free(&text);
	str_free(&decoded);
	str_free(&again);
	return 0;
}
