/*
 * The tokens of a structured header field, RFC 5322 section 3.2 with its obsolete forms:
 * a pure function over bytes. Comments nest as deep as they like; nothing recurses.
 */
#ifndef INJECT_LEXER_H
#define INJECT_LEXER_H

#include "lib/str.h"

enum token_kind {
	TOKEN_END,
	TOKEN_ATOM,    /* anything without blanks and specials; a backslash quotes the next byte */
	TOKEN_QUOTED,  /* "...", with its quotes */
	TOKEN_LITERAL, /* [...] */
	TOKEN_COMMENT, /* (...) */
	TOKEN_SPECIAL, /* one of < > @ , ; : . */
	TOKEN_BROKEN   /* what has no end: a quote, comment, literal, backslash; or a stray end */
};

struct token {
	enum token_kind kind;
	size_t start, end; /* offsets in the field */
};

/* The token at or behind offset at. */
struct token token_next(const char *bytes, size_t len, size_t at);
/* Adds a token's meaning: without quotes, backslashes and, inside quotes, line breaks. */
void token_add(struct str *to, const char *bytes, const struct token *token);

#endif
