/*
 * A stream behind DATA, cut in two ways: both must be decoded alike, and as a slow reading
 * of RFC 5321 decodes it. The first byte says where the cuts are.
 */
#include "fuzz/fuzz.h"
#include "lib/str.h"
#include "smtpd/data.h"

#include <string.h>

static enum data_verdict
decode(const char *bytes, size_t len, size_t step, struct str *text, size_t *used)
{
	enum data_verdict verdict = DATA_MORE;
	struct data data;
	size_t at = 0;

	data_start(&data);
	while (at < len && verdict == DATA_MORE) {
		size_t part = len - at < step ? len - at : step, taken, out_len;
		char *out = malloc(part);

		MUST(out);
		verdict = data_decode(&data, bytes + at, part, &taken, out, &out_len);
		MUST(out_len <= part && taken <= part && (taken == part || verdict != DATA_MORE));
		str_add_bytes(text, out, out_len);
		free(out);
		at += taken;
	}
	*used = at;
	return verdict;
}

/* Line by line, each of which must end in CRLF and hold no other CR or LF. */
static enum data_verdict
slowly(const char *bytes, size_t len, struct str *text)
{
	size_t at = 0;

	while (at < len) {
		size_t end = at, first = at;

		while (end < len && bytes[end] != '\r' && bytes[end] != '\n')
			end++;
		if (end - at == 1 && bytes[at] == '.' && end + 1 < len && bytes[end] == '\r' &&
		    bytes[end + 1] == '\n')
			return DATA_END;
		if (bytes[at] == '.')
			first++;
		str_add_bytes(text, bytes + first, end > first ? end - first : 0);
		if (end == len)
			return DATA_MORE;
		if (bytes[end] == '\n')
			return DATA_BARE_LF;
		if (end + 1 == len)
			return DATA_MORE;
		if (bytes[end + 1] != '\n')
			return DATA_BARE_CR;
		str_add_char(text, '\n');
		at = end + 2;
	}
	return DATA_MORE;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str whole = STR_INIT, pieces = STR_INIT, expected = STR_INIT;
	enum data_verdict verdict;
	size_t used, used_again;
	struct hops hops;

	if (!len)
		return 0;
	verdict = decode((const char *)bytes + 1, len - 1, len, &whole, &used);
	MUST(decode((const char *)bytes + 1, len - 1, bytes[0] % 16 + 1, &pieces, &used_again) ==
	     verdict);
	MUST(used == used_again && str_equal_str(&whole, &pieces));
	MUST(slowly((const char *)bytes + 1, len - 1, &expected) == verdict);
	MUST(str_equal_str(&whole, &expected));
	MUST(!memchr(whole.s, '\r', whole.len));
	hops_start(&hops);
	hops_scan(&hops, whole.s, whole.len);
	MUST(hops.count <= whole.len / 9);
	MUST(hops.addresses.len <= whole.len);
	hops_free(&hops);
	str_free(&whole);
	str_free(&pieces);
	str_free(&expected);
	return 0;
}
