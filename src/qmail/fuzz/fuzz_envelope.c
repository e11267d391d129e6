/* Envelopes as qmail-queue checks them, whole and byte by byte. */
#include "fuzz/fuzz.h"
#include "queue/envelope.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct envelope whole = {.state = ENVELOPE_SENDER}, single = whole;
	size_t used = envelope_feed(&whole, (const char *)bytes, len), at;

	MUST(used <= len);
	for (at = 0; at < len && single.state <= ENVELOPE_ADDRESS; at++)
		envelope_feed(&single, (const char *)bytes + at, 1);
	MUST(whole.state == single.state && whole.recipients == single.recipients);
	if (whole.state == ENVELOPE_DONE)
		MUST(whole.recipients >= 1 && bytes[0] == 'F' && used >= 4 && bytes[used - 1] == 0);
	return 0;
}
