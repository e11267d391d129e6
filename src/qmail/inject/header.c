/* A message's header, split into its fields: see header.h. */
#include "inject/header.h"

#include "lib/authserv.h"

#include <string.h>

struct known {
	const char *text;
	enum field_name name;
};

static const struct known known[] = {
    {"apparently-to", FIELD_APPARENTLY_TO},
    {AUTHSERV_FIELD, FIELD_AUTHENTICATION_RESULTS},
    {"bcc", FIELD_BCC},
    {"cc", FIELD_CC},
    {"content-length", FIELD_CONTENT_LENGTH},
    {"date", FIELD_DATE},
    {"errors-to", FIELD_OTHER_ADDRESSES},
    {"from", FIELD_FROM},
    {"mail-followup-to", FIELD_MAIL_FOLLOWUP_TO},
    {"mail-reply-to", FIELD_OTHER_ADDRESSES},
    {"message-id", FIELD_MESSAGE_ID},
    {"notice-requested-upon-delivery-to", FIELD_OTHER_ADDRESSES},
    {"reply-to", FIELD_OTHER_ADDRESSES},
    {"resent-bcc", FIELD_RESENT_BCC},
    {"resent-cc", FIELD_RESENT_CC},
    {"resent-date", FIELD_RESENT_DATE},
    {"resent-from", FIELD_RESENT_FROM},
    {"resent-message-id", FIELD_RESENT_MESSAGE_ID},
    {"resent-reply-to", FIELD_RESENT_OTHER},
    {"resent-sender", FIELD_RESENT_OTHER},
    {"resent-to", FIELD_RESENT_TO},
    {"return-path", FIELD_RETURN_PATH},
    {"return-receipt-to", FIELD_OTHER_ADDRESSES},
    {"sender", FIELD_OTHER_ADDRESSES},
    {"to", FIELD_TO},
};

static enum field_name
look_up(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (word_is(text, len, known[i].text))
			return known[i].name;
	return FIELD_OTHER;
}

static size_t
plain_length(const char *line, size_t len)
{
	size_t at = 0;

	while (at < len && line[at] > 32 && line[at] < 127 && line[at] != ':')
		at++;
	return at;
}

/* RFC 5322 section 4.5: blanks in front of the colon are an old form, to be understood. */
size_t
header_name_length(const char *line, size_t len)
{
	size_t at = plain_length(line, len);

	if (!at)
		return 0;
	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return at < len && line[at] == ':' ? at + 1 : 0;
}

bool
header_is_continuation(const char *line, size_t len)
{
	return len && (line[0] == ' ' || line[0] == '\t');
}

static size_t
behind_line(const char *bytes, size_t len, size_t at)
{
	const char *stop = memchr(bytes + at, '\n', len - at);

	return stop ? (size_t)(stop - bytes) + 1 : len;
}

bool
header_next(const char *bytes, size_t len, size_t *at, struct field *field)
{
	size_t end;

	if (*at >= len)
		return false;
	field->bytes = bytes + *at;
	end = behind_line(bytes, len, *at);
	field->body = header_name_length(field->bytes, end - *at);
	if (!field->body)
		return false;
	while (header_is_continuation(bytes + end, len - end))
		end = behind_line(bytes, len, end);
	field->len = end - *at;
	field->name = look_up(field->bytes, plain_length(field->bytes, field->len));
	*at = end;
	return true;
}
