/* A list's headers: see listmail.h. */
#include "local/listmail.h"

#include "inject/header.h"

#include <string.h>

/* A field, or a line that is none. */
struct part {
	const char *bytes;
	size_t len;
	size_t name; /* bytes of its name; 0: no field */
	size_t body; /* offset of what stands behind the colon */
};

static size_t
line_length(const char *bytes, size_t len)
{
	const char *stop = memchr(bytes, '\n', len);

	return stop ? (size_t)(stop - bytes) + 1 : len;
}

static bool
next_part(const struct str *header, size_t *at, struct part *part)
{
	const char *bytes = header->s + *at;
	size_t left = header->len - *at, len;

	if (!left)
		return false;
	len = line_length(bytes, left);
	part->bytes = bytes;
	part->body = header_name_length(bytes, len);
	part->name = part->body ? part->body - 1 : 0;
	while (part->name && (bytes[part->name - 1] == ' ' || bytes[part->name - 1] == '\t'))
		part->name--;
	while (len < left && header_is_continuation(bytes + len, left - len))
		len += line_length(bytes + len, left - len);
	part->len = len;
	*at += len;
	return true;
}

static bool
is_named(const struct part *part, const char *name)
{
	return part->name && word_is(part->bytes, part->name, name);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What stands in the last brackets, or all of it where there are none; without blanks. */
static void
take_id(struct str *id, const struct part *part)
{
	const char *at = part->bytes + part->body, *end = part->bytes + part->len;
	const char *open = memrchr(at, '<', (size_t)(end - at));
	const char *close = open ? memchr(open, '>', (size_t)(end - open)) : NULL;

	str_clear(id);
	if (open)
		at = open + 1;
	if (close)
		end = close;
	for (; at < end; at++)
		if (!is_blank(*at))
			str_add_char(id, *at);
}

static bool
has_id(const struct part *part, const char *id)
{
	struct str found = STR_INIT;
	bool same;

	take_id(&found, part);
	same = str_equal_nocase(&found, id);
	str_free(&found);
	return same;
}

/* Behind blanks and comments, which may be in each other: RFC 5322 section 3.2.2. */
static const char *
behind_comments(const char *at, const char *end)
{
	unsigned depth = 0;

	for (; at < end; at++) {
		if (*at == '(')
			depth++;
		else if (*at == ')' && depth)
			depth--;
		else if (*at == '\\' && depth && at + 1 < end)
			at++;
		else if (!depth && !is_blank(*at))
			break;
	}
	return at;
}

static bool
is_answer(const struct part *part)
{
	const char *end = part->bytes + part->len;
	const char *at = behind_comments(part->bytes + part->body, end), *stop = at;

	while (stop < end && !is_blank(*stop) && *stop != ';' && *stop != '(')
		stop++;
	return word_is(at, (size_t)(stop - at), "auto-replied");
}

enum listmail
listmail_judge(const struct str *header, const char *id)
{
	enum listmail verdict = LISTMAIL_SEND;
	struct part part;
	size_t at = 0;

	while (verdict == LISTMAIL_SEND && next_part(header, &at, &part)) {
		if (is_named(&part, "list-id") && has_id(&part, id))
			verdict = LISTMAIL_SEEN;
		if (is_named(&part, "auto-submitted") && is_answer(&part))
			verdict = LISTMAIL_ANSWER;
	}
	return verdict;
}

void
listmail_rewrite(struct str *to, const struct str *header, const char *id)
{
	struct part part;
	size_t at = 0;

	while (next_part(header, &at, &part))
		if (!is_named(&part, "list-id") && !is_named(&part, "precedence"))
			str_add_bytes(to, part.bytes, part.len);
	if (to->len && to->s[to->len - 1] != '\n')
		str_add_char(to, '\n');
	str_addf(to, "List-Id: <%s>\nPrecedence: list\n", id);
}
