/*
 * The outbound encoder, whole and in pieces, and behind it our own strict receiver: whatever
 * was queued, one message arrives. The first byte is the size of the pieces.
 */
#include "fuzz/fuzz.h"
#include "lib/str.h"
#include "remote/encode.h"
#include "smtpd/data.h"

#include <string.h>

static void
encode_all(struct str *to, const char *bytes, size_t len, size_t piece)
{
	struct encoder encoder = ENCODER_INIT, counter = ENCODER_INIT;
	size_t at;

	for (at = 0; at < len; at += piece) {
		size_t part = len - at < piece ? len - at : piece;

		encode(&encoder, to, bytes + at, part);
		encode(&counter, NULL, bytes + at, part);
	}
	encode_end(&encoder, to);
	encode_end(&counter, NULL);
	MUST(encoder.put == to->len && counter.put == to->len);
}

static void
check_lines(const struct str *data)
{
	const char *at = data->s, *end = at + data->len;

	MUST(!str_has_nul(data));
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len;

		MUST(stop && stop > at && stop[-1] == '\r');
		len = (size_t)(stop - at) - 1;
		MUST(!memchr(at, '\r', len));
		MUST(!(len == 1 && *at == '.'));
		MUST(len <= ENCODE_LINE + (*at == '.'));
		at = stop + 1;
	}
}

/* What a receiver that is as strict as ours makes of it. */
static void
check_received(const struct str *data, struct str *received)
{
	struct data decoder;
	struct str stream = STR_INIT;
	size_t used, got;

	str_set_str(&stream, data);
	str_add(&stream, ".\r\n");
	str_reserve(received, stream.len);
	data_start(&decoder);
	MUST(data_decode(&decoder, stream.s, stream.len, &used, received->s, &got) == DATA_END);
	MUST(used == stream.len);
	received->len = got;
	received->s[got] = 0;
	str_free(&stream);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str whole = STR_INIT, pieces = STR_INIT, received = STR_INIT, again = STR_INIT;
	size_t piece;

	if (!len)
		return 0;
	piece = bytes[0] ? bytes[0] : 256;
	bytes++;
	len--;
	encode_all(&whole, (const char *)bytes, len, len ? len : 1);
	encode_all(&pieces, (const char *)bytes, len, piece);
	MUST(str_equal_str(&whole, &pieces));
	check_lines(&whole);
	check_received(&whole, &received);
	/* What has arrived is sent on unchanged. */
	encode_all(&again, received.s, received.len, piece);
	MUST(str_equal_str(&whole, &again));
	str_free(&whole);
	str_free(&pieces);
	str_free(&received);
	str_free(&again);
	return 0;
}
