/*
 * What is added to a message that lacks it: nothing else changes, whatever comes, in pieces of any
 * size. The first byte is the size of the pieces.
 */
#include "fuzz/fuzz.h"
#include "smtpd/complete.h"

#include <string.h>

static const char date[] = "\x01"
			   "D\n",
		  id[] = "\x01"
			 "M\n";

static void
complete_all(struct str *to, const char *bytes, size_t len, size_t piece)
{
	struct complete complete;
	size_t at;

	complete_start(&complete);
	str_set(&complete.date, date);
	str_set(&complete.id, id);
	str_clear(to);
	for (at = 0; at < len; at += piece) {
		const size_t part = len - at < piece ? len - at : piece;
		const size_t used = complete_feed(&complete, bytes + at, part, to);

		MUST(used <= part && (used == part || complete.done));
		str_add_bytes(to, bytes + at + used, part - used);
	}
	complete_end(&complete, to);
	MUST(complete.done);
	complete_free(&complete);
}

/* Takes one of the fields out where it stands for the first time. */
static void
take_out(struct str *from, const char *field)
{
	const size_t len = strlen(field);
	char *at = memmem(from->s, from->len, field, len);

	if (!at)
		return;
	memmove(at, at + len, (size_t)(from->s + from->len - at) - len);
	str_cut(from, from->len - len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct str whole = STR_INIT, pieces = STR_INIT;
	const char *message = (const char *)bytes + 1;
	size_t piece;

	if (!len || memchr(bytes + 1, 1, len - 1))
		return 0;
	piece = bytes[0];
	len--;
	complete_all(&whole, message, len, len ? len : 1);
	complete_all(&pieces, message, len, piece ? piece : 256);
	MUST(str_equal_str(&whole, &pieces));
	take_out(&whole, date);
	take_out(&whole, id);
	MUST(whole.len == len && !memcmp(whole.s, message, len));
	return 0;
}
