/* Replies of a hostile SMTP server, cut into lines as link.c does. */
#include "fuzz/fuzz.h"
#include "remote/reply.h"

#include <string.h>

static void
check(const struct reply *reply)
{
	struct offers offers;
	size_t i;

	MUST(reply->code >= 200 && reply->code <= 599);
	MUST(reply->lines >= 1 && reply->lines <= REPLY_LINES);
	MUST(reply->text.len <= REPLY_BYTES && reply->text.s[reply->text.len - 1] == '\n');
	for (i = 0; i < reply->text.len; i++)
		MUST(reply->text.s[i] == '\n' ||
		     (reply->text.s[i] >= ' ' && reply->text.s[i] <= '~'));
	offers_parse(&offers, reply);
	MUST(offers.size || !offers.size_limit);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct reply reply = REPLY_INIT;
	const char *at = (const char *)bytes, *end = at + len;

	reply_start(&reply);
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		enum reply_state state;

		if (!stop)
			break;
		state = reply_line(&reply, at, (size_t)(stop - at));
		at = stop + 1;
		if (state == REPLY_MORE)
			continue;
		if (state == REPLY_WHOLE)
			check(&reply);
		reply_start(&reply);
	}
	str_free(&reply.text);
	return 0;
}
