/* Quoting for an mbox: no line that begins with "From " is left, and it can be undone. */
#include "fuzz/fuzz.h"

#include "local/mbox.h"

#include <string.h>

static ssize_t
collect(void *context, const char *bytes, size_t len)
{
	str_add_bytes(context, bytes, len);
	return (ssize_t)len;
}

/* In parts whose length the first byte says: quoting must not depend on them. */
static void
quote(struct str *to, const char *bytes, size_t len, size_t part)
{
	struct mbox_quoter quoter;
	char buffer[32];
	struct out out;

	out_open(&out, collect, to, buffer, sizeof buffer);
	mbox_quoter_open(&quoter, &out);
	while (len) {
		size_t now = part && part < len ? part : len;

		mbox_quoter_bytes(&quoter, bytes, now);
		bytes += now;
		len -= now;
	}
	mbox_quoter_end(&quoter);
	MUST(out_flush(&out));
}

static void
unquote(struct str *to, const struct str *from)
{
	size_t at = 0;

	while (at < from->len) {
		const char *line = from->s + at;
		const char *stop = memchr(line, '\n', from->len - at);
		size_t len = stop ? (size_t)(stop - line) + 1 : from->len - at;
		size_t marks = 0;

		while (marks < len && line[marks] == '>')
			marks++;
		if (len - marks >= 5 && !memcmp(line + marks, "From ", 5)) {
			MUST(marks);
			str_add_bytes(to, line + 1, len - 1);
		} else {
			str_add_bytes(to, line, len);
		}
		at += len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str quoted = STR_INIT, whole = STR_INIT, back = STR_INIT;
	const char *message = (const char *)bytes + 1;

	if (!len)
		return 0;
	quote(&quoted, message, len - 1, bytes[0]);
	quote(&whole, message, len - 1, 0);
	MUST(str_equal_str(&quoted, &whole));
	unquote(&back, &quoted);
	MUST(back.len >= len && !memcmp(back.s, message, len - 1));
	MUST(back.len - (len - 1) <= 2 && back.s[back.len - 1] == '\n');
	str_free(&quoted);
	str_free(&whole);
	str_free(&back);
	return 0;
}
