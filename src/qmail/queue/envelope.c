/* The envelope's form: see envelope.h. */
#include "queue/envelope.h"

static enum envelope_state
next_state(struct envelope *e, char c)
{
	switch (e->state) {
	case ENVELOPE_SENDER:
		e->address = 0;
		return c == 'F' ? ENVELOPE_ADDRESS : ENVELOPE_MALFORMED;
	case ENVELOPE_RECIPIENT:
		if (c == 'T') {
			e->recipients++;
			e->address = 0;
			return ENVELOPE_ADDRESS;
		}
		return c == 0 && e->recipients ? ENVELOPE_DONE : ENVELOPE_MALFORMED;
	case ENVELOPE_ADDRESS:
		if (!c)
			return ENVELOPE_RECIPIENT;
		return ++e->address > ENVELOPE_ADDRESS_MAX ? ENVELOPE_LONG : ENVELOPE_ADDRESS;
	default: return e->state;
	}
}

size_t
envelope_feed(struct envelope *envelope, const char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		envelope->state = next_state(envelope, bytes[i]);
		if (envelope->state >= ENVELOPE_DONE)
			break;
	}
	return i;
}
