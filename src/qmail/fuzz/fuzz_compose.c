/* Whole headers: what comes out is fields from start to end, whatever went in. */
#include "fuzz/fuzz.h"

#include "inject/compose.h"
#include "inject/header.h"

static bool
is_dropped(const struct field *field)
{
	return field->name == FIELD_BCC || field->name == FIELD_RESENT_BCC ||
	       field->name == FIELD_RETURN_PATH || field->name == FIELD_CONTENT_LENGTH;
}

static void
check(const struct composition *c)
{
	struct field field;
	size_t at = 0;

	while (header_next(c->header.s, c->header.len, &at, &field))
		MUST(!is_dropped(&field));
	MUST(at == c->header.len);
}

static void
compose_with(const struct settings *settings, bool use_header, const char *bytes, size_t len)
{
	struct composition c = {.settings = settings,
	    .use_header = use_header,
	    .when = 1795437441,
	    .pid = 4711,
	    .header = STR_INIT,
	    .recipients = LIST_INIT,
	    .return_path = LIST_INIT,
	    .bad_line = STR_INIT};
	bool complete = len == 0 || bytes[len - 1] == '\n';

	if (compose(&c, bytes, len) && complete)
		check(&c);
	str_free(&c.header);
	list_free(&c.recipients);
	list_free(&c.return_path);
	str_free(&c.bad_line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct settings settings = {.rules = REWRITE_RULES_INIT,
	    .id_host = STR_INIT,
	    .me = STR_INIT,
	    .author = STR_INIT,
	    .sender = STR_INIT,
	    .name = "J. \"Q\" P\n"};

	str_set(&settings.rules.default_host, "host.test");
	str_set(&settings.author, "joe@host.test");
	str_set(&settings.me, "mx.example");
	compose_with(&settings, true, (const char *)bytes, len);
	settings.ignore_from = settings.ignore_message_id = settings.ignore_return_path = true;
	compose_with(&settings, false, (const char *)bytes, len);
	str_free(&settings.rules.default_host);
	str_free(&settings.author);
	str_free(&settings.me);
	return 0;
}
