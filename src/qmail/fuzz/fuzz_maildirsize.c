/* The file maildirsize: what is read of it can be written, and is read as the same again. */
#include "fuzz/fuzz.h"

#include "lib/maildirsize.h"

#include <string.h>

static void
check_name(const char *text)
{
	unsigned long bytes = 1;

	if (maildirsize_of_name(text, &bytes))
		MUST(strstr(text, ",S=") && bytes <= 999999999999999999UL);
	else
		MUST(bytes == 1);
}

static void
check_lines(const struct str *text)
{
	struct maildirsize size, again, more;
	struct str written = STR_INIT;
	char first[32] = "";
	unsigned long limit;

	memcpy(first, text->s, strcspn(text->s, "S\n") % sizeof first);
	if (!number_parse(first, 999999999999999999UL, &limit) ||
	    !maildirsize_parse(text->s, text->len, limit, &size)) {
		MUST(!maildirsize_parse(text->s, 0, 5, &size));
		return;
	}
	MUST(size.lines > 0);
	/* Another limit than that which was counted under, or half a line. */
	MUST(!maildirsize_parse(text->s, text->len, limit + 1, &again));
	MUST(!maildirsize_parse(text->s, text->len - 1, limit, &again));
	maildirsize_format(&written, limit, &size);
	if (size.bytes <= 999999999999999999UL && size.count <= 999999999999999999UL) {
		MUST(maildirsize_parse(written.s, written.len, limit, &again));
		MUST(again.bytes == size.bytes && again.count == size.count && again.lines == 1);
		maildirsize_add(&written, -(long)size.bytes, -(long)size.count);
		MUST(maildirsize_parse(written.s, written.len, limit, &more));
		MUST(more.bytes == 0 && more.count == 0 && more.lines == 2);
	}
	str_free(&written);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str text = STR_INIT;

	str_set_bytes(&text, bytes, len);
	check_lines(&text);
	check_name(text.s);
	str_free(&text);
	return 0;
}
