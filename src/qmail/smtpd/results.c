/* Fields of our name that aren't ours: see results.h. */
#include "smtpd/results.h"

#include "lib/authserv.h"

#include <string.h>
#include <strings.h>

void
results_start(struct results *results)
{
	*results = (struct results){.ours = STR_INIT, .held = STR_INIT};
}

void
results_free(struct results *results)
{
	str_free(&results->ours);
	str_free(&results->held);
}

static bool
is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || !byte;
}

/* What is held is known by now: it goes on, or with the rest of its field it doesn't. */
static void
settle(struct results *r, struct str *to)
{
	if (r->within && authserv_claims(r->held.s + r->body, r->held.len - r->body, r->ours.s))
		r->drop = true;
	if (!r->drop)
		str_add_str(to, &r->held);
	str_clear(&r->held);
	r->within = false;
}

/* The first byte of a line says whether the field goes on. */
static void
begin_line(struct results *r, char byte, struct str *to)
{
	if (is_blank(byte)) {
		r->line = r->within ? RESULTS_VALUE : RESULTS_REST;
		return;
	}
	settle(r, to);
	r->drop = false;
	r->over = byte == '\n';
	r->line = RESULTS_NAME;
	r->column = 0;
}

/* RFC 5322 section 4.5: blanks in front of the colon are an old form, to be understood. */
static void
take_name(struct results *r, char byte)
{
	static const char name[] = AUTHSERV_FIELD;
	const size_t len = sizeof name - 1;

	if (r->column < len && strncasecmp(&byte, name + r->column, 1) == 0) {
		r->column++;
	} else if (r->column == len && byte == ':') {
		r->within = true;
		r->body = r->held.len + 1;
		r->line = RESULTS_VALUE;
	} else if (r->column < len || !is_blank(byte)) {
		r->line = RESULTS_REST;
	}
}

/* A byte of a field that may be such a one. */
static void
hold(struct results *r, char byte, struct str *to)
{
	str_add_char(&r->held, byte);
	if (!r->within && r->held.len > AUTHSERV_MAX)
		r->drop = true; /* so many blanks behind the name */
	if (r->line == RESULTS_REST || r->held.len > AUTHSERV_MAX) {
		settle(r, to);
		r->line = RESULTS_REST;
	}
}

static void
take(struct results *r, char byte, struct str *to)
{
	if (r->line == RESULTS_START)
		begin_line(r, byte, to);
	if (r->line == RESULTS_NAME)
		take_name(r, byte);
	hold(r, byte, to);
	if (byte == '\n')
		r->line = RESULTS_START;
}

size_t
results_feed(struct results *r, const char *bytes, size_t len, struct str *to)
{
	size_t at = 0;

	while (at < len && !r->over) {
		const char *stop;
		size_t part;

		if (r->line != RESULTS_REST) {
			take(r, bytes[at++], to);
			continue;
		}
		stop = memchr(bytes + at, '\n', len - at);
		part = stop ? (size_t)(stop + 1 - bytes) - at : len - at;
		if (!r->drop)
			str_add_bytes(to, bytes + at, part);
		at += part;
		if (stop)
			r->line = RESULTS_START;
	}
	return at;
}

void
results_end(struct results *r, struct str *to)
{
	settle(r, to);
}
