/*
 * The From fields of a message, cut in two ways, which must be read alike; and a slow look at the
 * header says whether there is any. The first byte says where the cuts are.
 */
#include "fuzz/fuzz.h"
#include "smtpd/authors.h"

#include <string.h>

static void
read_in_pieces(struct authors *authors, const char *bytes, size_t len, size_t step)
{
	size_t at;

	authors_start(authors);
	for (at = 0; at < len; at += step)
		authors_scan(authors, bytes + at, len - at < step ? len - at : step);
	authors_end(authors);
}

/* Line by line, up to the first empty one. */
static bool
has_from(const char *bytes, size_t len)
{
	size_t at = 0;

	while (at < len && bytes[at] != '\n') {
		const char *stop = memchr(bytes + at, '\n', len - at);
		size_t end = stop ? (size_t)(stop - bytes) : len, name = at + 4;

		if (end - at > 4 && word_is(bytes + at, 4, "from")) {
			while (name < end &&
			       (bytes[name] == ' ' || bytes[name] == '\t' || !bytes[name]))
				name++;
			if (name < end && bytes[name] == ':')
				return true;
		}
		at = end + 1;
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct authors whole, pieces;
	const char *text = (const char *)bytes + 1;
	size_t i;

	if (!len)
		return 0;
	read_in_pieces(&whole, text, len - 1, len);
	read_in_pieces(&pieces, text, len - 1, bytes[0] % 16 + 1);
	MUST(whole.unreadable == pieces.unreadable);
	MUST(str_equal_str(&whole.found.bytes, &pieces.found.bytes));
	MUST(has_from(text, len - 1) == (whole.unreadable || whole.found.count > 0));
	for (i = 0; i < whole.found.count; i++)
		MUST(strlen(whole.found.items[i]) <= AUTHORS_MAX);
	authors_free(&whole);
	authors_free(&pieces);
	return 0;
}
