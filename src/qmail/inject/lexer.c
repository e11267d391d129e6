/* The tokens of a structured header field: see lexer.h. */
#include "inject/lexer.h"

#include <string.h>

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_special(char c)
{
	return c && strchr("<>@,;:.", c);
}

static bool
ends_atom(char c)
{
	return is_blank(c) || is_special(c) || (c && strchr("\"()[]", c));
}

/* Behind the closing byte of what opens at start; 0 where it has none. */
static size_t
behind_closing(const char *bytes, size_t len, size_t start, char open, char close)
{
	size_t depth = 1, at;

	for (at = start + 1; at < len; at++) {
		if (bytes[at] == '\\')
			at++;
		else if (bytes[at] == close) {
			if (!--depth)
				return at + 1;
		} else if (bytes[at] == open)
			depth++;
	}
	return 0;
}

static struct token
enclosed(const char *bytes, size_t len, size_t start, enum token_kind kind)
{
	size_t end = 0;

	switch (kind) {
	case TOKEN_QUOTED: end = behind_closing(bytes, len, start, 0, '"'); break;
	case TOKEN_COMMENT: end = behind_closing(bytes, len, start, '(', ')'); break;
	case TOKEN_LITERAL: end = behind_closing(bytes, len, start, 0, ']'); break;
	default: break;
	}
	if (!end)
		return (struct token){TOKEN_BROKEN, start, len};
	return (struct token){kind, start, end};
}

/* A backslash must have something to quote, and not the end of its line. */
static struct token
atom(const char *bytes, size_t len, size_t start)
{
	size_t at = start;

	while (at < len && !ends_atom(bytes[at])) {
		if (bytes[at] == '\\' && (++at == len || bytes[at] == '\n' || bytes[at] == '\r'))
			return (struct token){TOKEN_BROKEN, start, at};
		at++;
	}
	return (struct token){TOKEN_ATOM, start, at};
}

struct token
token_next(const char *bytes, size_t len, size_t at)
{
	while (at < len && is_blank(bytes[at]))
		at++;
	if (at >= len)
		return (struct token){TOKEN_END, len, len};
	switch (bytes[at]) {
	case '"': return enclosed(bytes, len, at, TOKEN_QUOTED);
	case '(': return enclosed(bytes, len, at, TOKEN_COMMENT);
	case '[': return enclosed(bytes, len, at, TOKEN_LITERAL);
	case ')':
	case ']': return (struct token){TOKEN_BROKEN, at, at + 1};
	default: break;
	}
	if (is_special(bytes[at]))
		return (struct token){TOKEN_SPECIAL, at, at + 1};
	return atom(bytes, len, at);
}

void
token_add(struct str *to, const char *bytes, const struct token *token)
{
	bool quoted = token->kind == TOKEN_QUOTED;
	size_t at = token->start + quoted, end = token->end - quoted;

	for (; at < end; at++) {
		bool escaped = token->kind != TOKEN_LITERAL && bytes[at] == '\\' && at + 1 < end;

		if (escaped)
			at++;
		if (bytes[at] != '\n' && bytes[at] != '\r')
			str_add_char(to, bytes[at]);
	}
}
