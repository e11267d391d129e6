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
	struct encoder encoder = ENCODER_INIT;
	size_t at;

	str_clear(to);
	for (at = 0; at < len; at += piece)
		encode(&encoder, to, bytes + at, len - at < piece ? len - at : piece);
	encode_end(&encoder, to);
	MUST(encoder.put == to->len);
}

static size_t
encoded_size(const char *bytes, size_t len)
{
	struct encoder encoder = ENCODER_INIT;

	encode(&encoder, NULL, bytes, len);
	encode_end(&encoder, NULL);
	return encoder.put;
}

/* As it is stored by whoever signs it: what is sent of that is the same, with nothing changed. */
static void
check_stored(const struct str *whole, const char *bytes, size_t len, size_t piece)
{
	static struct str stored = STR_INIT, sent = STR_INIT;
	struct encoder keeper = {.stored = true}, sender = ENCODER_INIT;
	size_t at;

	str_clear(&stored);
	for (at = 0; at < len; at += piece)
		encode(&keeper, &stored, bytes + at, len - at < piece ? len - at : piece);
	encode_end(&keeper, &stored);
	str_clear(&sent);
	encode(&sender, &sent, stored.s, stored.len);
	encode_end(&sender, &sent);
	MUST(str_equal_str(&sent, whole) && !sender.altered && !memchr(stored.s, '\r', stored.len));
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
receive(struct str *stream, struct str *received)
{
	struct data decoder;
	size_t used, got;

	str_add(stream, ".\r\n");
	str_clear(received);
	str_reserve(received, stream->len);
	data_start(&decoder);
	MUST(data_decode(&decoder, stream->s, stream->len, &used, received->s, &got) == DATA_END);
	MUST(used == stream->len);
	received->len = got;
	received->s[got] = 0;
	str_cut(stream, stream->len - 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	/* Kept from one input to the next: allocating them is most of the work otherwise. */
	static struct str whole = STR_INIT, pieces = STR_INIT, received = STR_INIT;
	const char *message;
	size_t piece;

	if (!len)
		return 0;
	piece = bytes[0] ? bytes[0] : 256;
	message = (const char *)bytes + 1;
	len--;
	encode_all(&whole, message, len, len ? len : 1);
	encode_all(&pieces, message, len, piece);
	MUST(str_equal_str(&whole, &pieces) && encoded_size(message, len) == whole.len);
	check_lines(&whole);
	check_stored(&whole, message, len, piece);
	receive(&whole, &received);
	/* What has arrived is sent on unchanged. */
	encode_all(&pieces, received.s, received.len, piece);
	MUST(str_equal_str(&whole, &pieces));
	return 0;
}
