/* Address lists in header fields: see rewrite.h. */
#include "inject/rewrite.h"

#include "inject/lexer.h"
#include "lib/addr.h"

#include <string.h>

#define NONE ((size_t)-1)

/* One address, collected token by token. */
struct spec {
	struct str inner;  /* what the tokens mean */
	size_t at;         /* of the last @ in it, or NONE */
	size_t end;        /* behind its last token in the field; NONE: no token yet */
	bool after_word;   /* the last token was no special */
	bool invalid;      /* two adjacent words (a phrase), or a host that is quoted */
	bool literal_host; /* the last word is [...] */
};

struct list_state {
	const char *bytes;
	const struct rewrite_rules *rules;
	struct str *text;
	struct list *found;
	size_t copied; /* the field up to here is in text */
	struct spec spec;
	size_t angle; /* behind '<' while inside, else NONE */
	bool closed;  /* this item had its <...> */
};

void
rewrite_host(struct str *to, const char *host, size_t len, const struct rewrite_rules *rules)
{
	bool plus = len && host[len - 1] == '+' && rules->plus_domain.len;

	if (plus)
		len--;
	str_add_bytes(to, host, len);
	if (plus) {
		if (len)
			str_add_char(to, '.');
		str_add_str(to, &rules->plus_domain);
	} else if (!memchr(host, '.', len) && rules->default_domain.len &&
		   !word_is(host, len, "localhost")) {
		str_add_char(to, '.');
		str_add_str(to, &rules->default_domain);
	}
}

static void
spec_clear(struct spec *spec)
{
	str_clear(&spec->inner);
	spec->at = spec->end = NONE;
	spec->after_word = spec->invalid = spec->literal_host = false;
}

static void
spec_word(struct spec *spec, const char *bytes, const struct token *token)
{
	bool plain = token->kind != TOKEN_QUOTED &&
		     !memchr(bytes + token->start, '\\', token->end - token->start);

	if (spec->after_word || (spec->at != NONE && !plain))
		spec->invalid = true;
	spec->after_word = true;
	spec->literal_host = token->kind == TOKEN_LITERAL;
	spec->end = token->end;
	token_add(&spec->inner, bytes, token);
}

static void
spec_special(struct spec *spec, const char *bytes, const struct token *token)
{
	spec->after_word = false;
	spec->end = token->end;
	if (bytes[token->start] == '@')
		spec->at = spec->inner.len;
	str_add_char(&spec->inner, bytes[token->start]);
}

static void
copy_until(struct list_state *s, size_t end)
{
	if (s->text && end > s->copied)
		str_add_bytes(s->text, s->bytes + s->copied, end - s->copied);
	if (end > s->copied)
		s->copied = end;
}

/*
 * The host in the text: something is put behind it, after a plus sign at its end is taken
 * away. Only unquoted atoms get here, so its last bytes are the same in text and meaning.
 */
static void
write_host(struct list_state *s, const char *had, const struct str *whole)
{
	size_t common = 0;

	while (had[common] && had[common] == whole->s[common])
		common++;
	copy_until(s, s->spec.end - strlen(had + common));
	s->copied = s->spec.end;
	if (s->text)
		str_add(s->text, whole->s + common);
}

static void
keep(struct list_state *s, const struct str *address)
{
	if (s->found)
		list_add(s->found, address->s);
}

/* An address with a host name that is there and may need more. */
static void
complete_host(struct list_state *s)
{
	struct spec *spec = &s->spec;
	const char *had = spec->inner.s + spec->at + 1;
	struct str whole = STR_INIT;

	if (spec->literal_host)
		str_set(&whole, had);
	else
		rewrite_host(&whole, had, strlen(had), s->rules);
	write_host(s, had, &whole);
	str_cut(&spec->inner, spec->at + 1);
	str_add_str(&spec->inner, &whole);
	str_free(&whole);
}

static void
add_host(struct list_state *s)
{
	struct str host = STR_INIT;

	copy_until(s, s->spec.end);
	if (!s->rules->default_host.len)
		return;
	rewrite_host(&host, s->rules->default_host.s, s->rules->default_host.len, s->rules);
	if (s->text) {
		str_add_char(s->text, '@');
		str_add_str(s->text, &host);
	}
	str_add_char(&s->spec.inner, '@');
	str_add_str(&s->spec.inner, &host);
	str_free(&host);
}

/* Ends an address; false where the tokens are none. */
static bool
end_address(struct list_state *s)
{
	struct spec *spec = &s->spec;
	bool valid;

	if (spec->invalid || spec->at == 0 || spec->inner.len == 0 || str_has_nul(&spec->inner) ||
	    (spec->at != NONE && spec->at + 1 == spec->inner.len))
		return false;
	if (spec->at == NONE)
		add_host(s);
	else
		complete_host(s);
	valid = spec->inner.len <= ADDR_MAX;
	if (valid)
		keep(s, &spec->inner);
	spec_clear(spec);
	return valid;
}

/* Ends an item of the list, at a comma, a semicolon or the end; it may be empty. */
static bool
end_item(struct list_state *s)
{
	bool valid = s->closed || s->spec.end == NONE || end_address(s);

	s->closed = false;
	spec_clear(&s->spec);
	return valid && s->angle == NONE;
}

static bool
end_angle(struct list_state *s)
{
	static const struct str nobody = STR_INIT;

	s->angle = NONE;
	s->closed = true;
	if (s->spec.end != NONE)
		return end_address(s);
	keep(s, &nobody);
	return true;
}

/* Takes a source route out: everything between '<' and its colon. */
static bool
end_route(struct list_state *s, const struct token *colon)
{
	if (s->spec.inner.len < 2 || s->spec.inner.s[0] != '@' || s->copied > s->angle)
		return false;
	copy_until(s, s->angle);
	s->copied = colon->end;
	spec_clear(&s->spec);
	return true;
}

static bool
special_in_angle(struct list_state *s, const struct token *token)
{
	switch (s->bytes[token->start]) {
	case '>': return end_angle(s);
	case ':': return end_route(s, token);
	case ',':
		if (!s->spec.inner.len || s->spec.inner.s[0] != '@')
			return false;
		spec_special(&s->spec, s->bytes, token);
		return true;
	case '@':
	case '.': spec_special(&s->spec, s->bytes, token); return true;
	default: return false;
	}
}

static bool
special_outside(struct list_state *s, const struct token *token)
{
	switch (s->bytes[token->start]) {
	case '<':
		if (s->closed)
			return false;
		s->angle = token->end;
		spec_clear(&s->spec);
		return true;
	case ',':
	case ';': return end_item(s);
	case ':': /* what was collected is a group's name */
		spec_clear(&s->spec);
		return !s->closed;
	case '@':
	case '.': spec_special(&s->spec, s->bytes, token); return !s->closed;
	default: return false;
	}
}

static bool
take_token(struct list_state *s, const struct token *token)
{
	switch (token->kind) {
	case TOKEN_COMMENT: return true;
	case TOKEN_BROKEN: return false;
	case TOKEN_SPECIAL:
		return s->angle != NONE ? special_in_angle(s, token) : special_outside(s, token);
	case TOKEN_END: return end_item(s);
	default:
		if (s->closed)
			return false;
		spec_word(&s->spec, s->bytes, token);
		return true;
	}
}

bool
rewrite_list(struct str *text, struct list *found, const char *bytes, size_t len,
    const struct rewrite_rules *rules)
{
	struct list_state s = {.bytes = bytes,
	    .rules = rules,
	    .text = text,
	    .found = found,
	    .angle = NONE,
	    .spec = {.inner = STR_INIT}};
	struct token token = {TOKEN_ATOM, 0, 0};
	bool valid = true;

	spec_clear(&s.spec);
	while (valid && token.kind != TOKEN_END) {
		token = token_next(bytes, len, token.end);
		valid = take_token(&s, &token);
	}
	if (valid)
		copy_until(&s, len);
	str_free(&s.spec.inner);
	return valid;
}
