/* The arguments of MAIL and RCPT: see path.h. */
#include "smtpd/path.h"

#include "lib/addr.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

struct cursor {
	const char *at, *end;
};

static void
skip_blanks(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
}

static bool
take(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static bool
take_keyword(struct cursor *c, const char *keyword)
{
	size_t len = strlen(keyword);

	if ((size_t)(c->end - c->at) < len || strncasecmp(c->at, keyword, len))
		return false;
	c->at += len;
	skip_blanks(c);
	if (!take(c, ':'))
		return false;
	skip_blanks(c);
	return true;
}

/* "@a,@b:" before the mailbox: to be accepted and ignored (RFC 5321 appendix F.2). */
static bool
skip_route(struct cursor *c)
{
	const char *colon;

	if (c->at == c->end || *c->at != '@')
		return true;
	for (colon = c->at; colon < c->end && *colon != ':'; colon++)
		if (strchr("<> \t\"\\", *colon))
			return false;
	if (colon == c->end)
		return false;
	c->at = colon + 1;
	return true;
}

static bool
is_control(char c)
{
	return (unsigned char)c < 32 || c == 127;
}

/* What is being read: where the domain starts in the inner form, and whether it is plain. */
struct mailbox {
	struct str *address;
	size_t at;         /* offset of the last @ that was not quoted, SIZE_MAX for none */
	bool quoted_since; /* quoting behind that @ */
};

/* One quoted string, the opening quote taken already. */
static bool
quoted(struct cursor *c, struct str *to)
{
	while (c->at < c->end && *c->at != '"') {
		if (*c->at == '\\' && ++c->at == c->end)
			return false;
		if (is_control(*c->at))
			return false;
		str_add_char(to, *c->at++);
	}
	return take(c, '"');
}

static bool
mailbox_byte(struct cursor *c, struct mailbox *m)
{
	char byte = *c->at++;

	if (byte == '"') {
		m->quoted_since = true;
		return quoted(c, m->address);
	}
	if (byte == '\\') {
		m->quoted_since = true;
		if (c->at == c->end)
			return false;
		byte = *c->at++;
	} else if (byte == '@') {
		m->at = m->address->len;
		m->quoted_since = false;
	} else if (byte == '<') {
		return false;
	}
	if (is_control(byte))
		return false;
	str_add_char(m->address, byte);
	return true;
}

/* Letters, digits, '-', '.', '_', bytes above 127, or an address literal. */
static bool
domain_plain(const char *domain, size_t len)
{
	bool literal = len > 2 && domain[0] == '[' && domain[len - 1] == ']';
	size_t i;

	if (!len)
		return false;
	for (i = literal ? 1 : 0; i < len - (literal ? 1 : 0); i++) {
		unsigned char c = (unsigned char)domain[i];

		if (c >= 128 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
		    c == '-' || c == '.' || c == '_' || (literal && c == ':'))
			continue;
		return false;
	}
	return true;
}

static bool
mailbox_sound(const struct mailbox *m)
{
	const struct str *a = m->address;

	if (!a->len)
		return !m->quoted_since;
	if (m->at == (size_t)-1)
		/* Without a domain no quoted @ may pass for the start of one. */
		return str_find(a, '@') == a->len;
	return m->at > 0 && !m->quoted_since && domain_plain(a->s + m->at + 1, a->len - m->at - 1);
}

static enum path_fault
read_mailbox(struct cursor *c, struct str *address)
{
	struct mailbox m = {address, (size_t)-1, false};
	bool bracket = take(c, '<'), closed = false;

	if (bracket && !skip_route(c))
		return PATH_SYNTAX;
	while (c->at < c->end && !closed) {
		if (bracket ? *c->at == '>' : *c->at == ' ' || *c->at == '\t') {
			closed = true;
			if (bracket)
				c->at++;
		} else if (*c->at == ' ' || *c->at == '\t' || *c->at == '>') {
			return PATH_SYNTAX;
		} else if (!mailbox_byte(c, &m)) {
			return PATH_SYNTAX;
		}
		if (address->len > ADDR_MAX)
			return PATH_LONG;
	}
	if (bracket ? !closed : !address->len)
		return PATH_SYNTAX;
	return mailbox_sound(&m) ? PATH_FINE : PATH_SYNTAX;
}

static bool
read_size(const char *value, size_t len, struct path *path)
{
	unsigned long number = 0;
	bool beyond = false;
	size_t i;

	if (!len || len > 20)
		return false;
	for (i = 0; i < len; i++) {
		unsigned long digit = (unsigned long)(unsigned char)value[i] - '0';

		if (digit > 9)
			return false;
		if (__builtin_mul_overflow(number, 10UL, &number) ||
		    __builtin_add_overflow(number, digit, &number))
			beyond = true;
	}
	path->has_size = true;
	path->size = beyond ? ULONG_MAX : number;
	return true;
}

static enum parameter_fault
read_body(const char *value, size_t len)
{
	if (word_is(value, len, "7BIT") || word_is(value, len, "8BITMIME"))
		return PARAMETERS_FINE;
	return len ? PARAMETERS_FOREIGN : PARAMETERS_SYNTAX;
}

static enum parameter_fault
read_parameter(const char *text, size_t len, struct path *path, bool sender)
{
	static const char *const names[] = {"SIZE", "BODY", "AUTH"};
	const char *equals = memchr(text, '=', len);
	size_t name = equals ? (size_t)(equals - text) : len;
	const char *value = equals ? equals + 1 : text + len;
	size_t value_len = equals ? len - name - 1 : 0;
	unsigned which = 0;

	while (which < 3 && !word_is(text, name, names[which]))
		which++;
	if (!sender || which == 3)
		return PARAMETERS_FOREIGN;
	if (path->seen & 1U << which)
		return PARAMETERS_SYNTAX;
	path->seen |= 1U << which;
	switch (which) {
	case 0: return read_size(value, value_len, path) ? PARAMETERS_FINE : PARAMETERS_SYNTAX;
	case 1: return read_body(value, value_len);
	default: return value_len ? PARAMETERS_FINE : PARAMETERS_SYNTAX;
	}
}

enum path_fault
path_parse(const char *text, size_t len, const char *keyword, struct path *path)
{
	struct cursor c = {text, text + len};
	enum path_fault fault;
	bool sender = keyword[0] == 'F';

	str_clear(&path->address);
	path->has_size = false;
	path->size = path->seen = 0;
	path->parameters = PARAMETERS_FINE;
	if (!take_keyword(&c, keyword))
		return PATH_SYNTAX;
	fault = read_mailbox(&c, &path->address);
	if (fault != PATH_FINE)
		return fault;
	if (!sender && !path->address.len)
		return PATH_SYNTAX;
	while (c.at < c.end) {
		const char *word;

		if (*c.at != ' ' && *c.at != '\t')
			return PATH_SYNTAX;
		skip_blanks(&c);
		word = c.at;
		while (c.at < c.end && *c.at != ' ' && *c.at != '\t')
			c.at++;
		if (c.at > word && path->parameters == PARAMETERS_FINE)
			path->parameters =
			    read_parameter(word, (size_t)(c.at - word), path, sender);
	}
	return PATH_FINE;
}

void
path_free(struct path *path)
{
	str_free(&path->address);
}
