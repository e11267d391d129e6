/* Making a message's header complete: see compose.h. */
#include "inject/compose.h"

#include "inject/header.h"
#include "lib/addr.h"
#include "lib/authserv.h"
#include "lib/when.h"

#include <string.h>

#define NOT_SHOWN "recipient list not shown: ;\n"

struct header_state {
	struct composition *c;
	bool resent;
	bool seen[FIELD_NAMES];
	struct list shown; /* the addresses of To and Cc, for Mail-Followup-To */
};

static bool
is_resent(enum field_name name)
{
	switch (name) {
	case FIELD_RESENT_BCC:
	case FIELD_RESENT_CC:
	case FIELD_RESENT_DATE:
	case FIELD_RESENT_FROM:
	case FIELD_RESENT_MESSAGE_ID:
	case FIELD_RESENT_OTHER:
	case FIELD_RESENT_TO: return true;
	default: return false;
	}
}

static bool
has_addresses(enum field_name name)
{
	switch (name) {
	case FIELD_OTHER:
	case FIELD_AUTHENTICATION_RESULTS:
	case FIELD_CONTENT_LENGTH:
	case FIELD_DATE:
	case FIELD_MESSAGE_ID:
	case FIELD_RESENT_DATE:
	case FIELD_RESENT_MESSAGE_ID: return false;
	default: return true;
	}
}

static bool
names_recipients(const struct header_state *h, enum field_name name)
{
	switch (name) {
	case FIELD_TO:
	case FIELD_CC:
	case FIELD_BCC:
	case FIELD_APPARENTLY_TO: return !h->resent;
	case FIELD_RESENT_TO:
	case FIELD_RESENT_CC:
	case FIELD_RESENT_BCC: return true;
	default: return false;
	}
}

/*
 * The letters f and i speak of the message that is sent now: of a resent one it is the
 * Resent- field that goes.
 */
static bool
is_dropped(const struct header_state *h, enum field_name name)
{
	const struct settings *settings = h->c->settings;

	switch (name) {
	case FIELD_BCC:
	case FIELD_RESENT_BCC:
	case FIELD_CONTENT_LENGTH:
	case FIELD_RETURN_PATH: return true;
	case FIELD_FROM: return settings->ignore_from && !h->resent;
	case FIELD_RESENT_FROM: return settings->ignore_from;
	case FIELD_MESSAGE_ID: return settings->ignore_message_id && !h->resent;
	case FIELD_RESENT_MESSAGE_ID: return settings->ignore_message_id;
	default: return false;
	}
}

static struct list *
collector(struct header_state *h, enum field_name name)
{
	if (name == FIELD_RETURN_PATH && !h->c->settings->ignore_return_path)
		return &h->c->return_path;
	if (names_recipients(h, name) && h->c->use_header)
		return &h->c->recipients;
	return NULL;
}

static void
note_shown(struct header_state *h, const struct field *field)
{
	struct str ignored = STR_INIT;

	if (h->c->lists && (field->name == FIELD_TO || field->name == FIELD_CC))
		rewrite_list(&ignored, &h->shown, field->bytes + field->body,
		    field->len - field->body, &h->c->settings->rules);
	str_free(&ignored);
}

/* A field with addresses. One that can't be understood stays as it is, if it may. */
static bool
take_addresses(struct header_state *h, const struct field *field)
{
	struct list *found = collector(h, field->name);
	struct str *header = &h->c->header;
	size_t start = header->len;

	str_add_bytes(header, field->bytes, field->body);
	if (!rewrite_list(header, found, field->bytes + field->body, field->len - field->body,
		&h->c->settings->rules)) {
		if (found)
			return false;
		str_cut(header, start);
		str_add_bytes(header, field->bytes, field->len);
	}
	if (is_dropped(h, field->name))
		str_cut(header, start);
	note_shown(h, field);
	return true;
}

/* What a program has found out about a message isn't what this host has: RFC 8601 section 5. */
static bool
pretends_to_be_ours(const struct header_state *h, const struct field *field)
{
	return field->name == FIELD_AUTHENTICATION_RESULTS &&
	       authserv_claims(
		   field->bytes + field->body, field->len - field->body, h->c->settings->me.s);
}

static bool
take_field(struct header_state *h, const struct field *field)
{
	bool dropped = is_dropped(h, field->name) || pretends_to_be_ours(h, field);

	if (!dropped || names_recipients(h, field->name))
		h->seen[field->name] = true;
	if (has_addresses(field->name))
		return take_addresses(h, field);
	if (!dropped)
		str_add_bytes(&h->c->header, field->bytes, field->len);
	return true;
}

static void
add_date(struct header_state *h, const char *prefix)
{
	str_addf(&h->c->header, "%sDate: ", prefix);
	when_822(&h->c->header, h->c->when);
	str_add_char(&h->c->header, '\n');
}

static void
add_message_id(struct header_state *h, const char *prefix)
{
	str_addf(&h->c->header, "%sMessage-ID: <", prefix);
	settings_add_stamp(&h->c->header, h->c->when, h->c->pid);
	str_addf(&h->c->header, ".qmail@%s>\n", h->c->settings->id_host.s);
}

static void
add_from(struct header_state *h, const char *prefix)
{
	str_addf(&h->c->header, "%sFrom: ", prefix);
	settings_add_author(&h->c->header, h->c->settings);
	str_add_char(&h->c->header, '\n');
}

static bool
mentions_a_list(const struct header_state *h)
{
	size_t i;

	for (i = 0; i < h->shown.count; i++)
		if (list_find(h->c->lists, h->shown.items[i]))
			return true;
	return false;
}

/* All addresses of To and Cc, where one of them is a mailing list that the user is on. */
static void
add_followup(struct header_state *h)
{
	size_t i;

	list_index(&h->shown);
	if (h->resent || h->seen[FIELD_MAIL_FOLLOWUP_TO] || !h->c->lists || !mentions_a_list(h))
		return;
	str_add(&h->c->header, "Mail-Followup-To: ");
	for (i = 0; i < h->shown.count; i++) {
		struct str address = STR_INIT;

		str_set(&address, h->shown.items[i]);
		if (i)
			str_add(&h->c->header, ",\n  ");
		addr_quote(&h->c->header, &address);
		str_free(&address);
	}
	str_add_char(&h->c->header, '\n');
}

static void
add_missing(struct header_state *h)
{
	const char *prefix = h->resent ? "Resent-" : "";

	if (!h->seen[h->resent ? FIELD_RESENT_DATE : FIELD_DATE])
		add_date(h, prefix);
	if (!h->seen[h->resent ? FIELD_RESENT_MESSAGE_ID : FIELD_MESSAGE_ID])
		add_message_id(h, prefix);
	if (!h->seen[h->resent ? FIELD_RESENT_FROM : FIELD_FROM])
		add_from(h, prefix);
	if (!h->seen[h->resent ? FIELD_RESENT_TO : FIELD_TO] &&
	    !h->seen[h->resent ? FIELD_RESENT_CC : FIELD_CC])
		str_addf(&h->c->header, "%sCc: " NOT_SHOWN, prefix);
	add_followup(h);
}

bool
compose(struct composition *c, const char *header, size_t len)
{
	struct header_state h = {.c = c, .shown = LIST_INIT};
	struct field field;
	bool valid = true;
	size_t at;

	for (at = 0; header_next(header, len, &at, &field);)
		h.resent |= is_resent(field.name);
	for (at = 0; valid && header_next(header, len, &at, &field);)
		valid = take_field(&h, &field);
	if (valid)
		add_missing(&h);
	else
		str_set_bytes(&c->bad_line, field.bytes, field.len);
	list_free(&h.shown);
	return valid;
}
