/* What the signer answers: see answer.h. */
#include "sign/answer.h"

#include "lib/addr.h"

#include <string.h>

#define LINE 998
#define WHY_MAX 400

/* A name, its colon, and whatever follows; RFC 5322 section 2.2. */
static bool
starts_field(const char *line, size_t len)
{
	size_t at = 0;

	while (at < len && line[at] > ' ' && line[at] < 0x7f && line[at] != ':')
		at++;
	return at > 0 && at < len && line[at] == ':';
}

/* Behind a first line of the field, and not blank: some take a blank line for the header's end. */
static bool
continues_field(const char *line, size_t len)
{
	size_t at = 0;

	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return at > 0 && at < len;
}

static bool
are_fields(const char *bytes, size_t len)
{
	const char *at = bytes, *end = bytes + len, *stop;
	bool field = false;

	if (memchr(bytes, 0, len) || memchr(bytes, '\r', len))
		return false;
	for (; at < end; at = stop + 1) {
		size_t line;

		stop = memchr(at, '\n', (size_t)(end - at));
		if (!stop)
			return false;
		line = (size_t)(stop - at);
		if (line > LINE ||
		    !(starts_field(at, line) || (field && continues_field(at, line))))
			return false;
		field = true;
	}
	return true;
}

bool
answer_parse(const char *packet, size_t len, struct str *fields, struct str *why)
{
	if (len && len <= ANSWER_MAX && packet[0] == 'K' && are_fields(packet + 1, len - 1)) {
		str_set_bytes(fields, packet + 1, len - 1);
		return true;
	}
	str_clear(why);
	if (len && packet[0] == 'Z') {
		const char *stop = memchr(packet, '\n', len);

		add_printable(why, packet + 1, (stop ? (size_t)(stop - packet) : len) - 1, WHY_MAX);
	}
	if (!why->len)
		str_set(why, "the signer's answer makes no sense");
	return false;
}
