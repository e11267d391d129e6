/* What a message of our own users lacks: see complete.h. */
#include "smtpd/complete.h"

#include <string.h>

#define NAME_MOST 998 /* bytes of a field's name: it has one line */

void
complete_start(struct complete *complete)
{
	*complete = (struct complete){.date = STR_INIT, .id = STR_INIT, .held = STR_INIT};
}

void
complete_free(struct complete *complete)
{
	str_free(&complete->date);
	str_free(&complete->id);
	str_free(&complete->held);
}

/* The fields, and behind them what was held. */
static void
finish(struct complete *complete, struct str *to)
{
	if (!complete->has_date)
		str_add_str(to, &complete->date);
	if (!complete->has_id)
		str_add_str(to, &complete->id);
	str_add_str(to, &complete->held);
	str_clear(&complete->held);
	complete->done = true;
}

static bool
is_mailbox_line(const struct complete *complete)
{
	return !complete->later &&
	       (str_equal(&complete->held, "From") || str_equal(&complete->held, ">From"));
}

/* The line is one of the header's, whatever else it has. */
static void
release(struct complete *complete, struct str *to)
{
	str_add_str(to, &complete->held);
	str_clear(&complete->held);
	complete->line = COMPLETE_REST;
}

static void
take_name(struct complete *complete, struct str *to)
{
	const size_t len = strcspn(complete->held.s, " \t:");

	if (word_is(complete->held.s, len, "date"))
		complete->has_date = true;
	if (word_is(complete->held.s, len, "message-id"))
		complete->has_id = true;
	release(complete, to);
}

/* A byte of a line whose kind isn't known yet; the byte is held or, with the line, let go. */
static void
take_unsure(struct complete *complete, char byte, struct str *to)
{
	const bool blank = byte == ' ' || byte == '\t', start = complete->line == COMPLETE_START;
	bool named = !start;

	if (byte > ' ' && byte < 0x7f && byte != ':' && complete->line != COMPLETE_BLANK) {
		complete->line = COMPLETE_NAME;
		named = true;
	} else if (byte == ' ' && is_mailbox_line(complete)) {
		complete->line = COMPLETE_REST;
	} else if (blank && start) {
		complete->line = COMPLETE_REST;
		named = complete->later;
	} else if (blank) {
		complete->line = COMPLETE_BLANK;
	} else if (byte != ':') {
		named = false;
	}
	str_add_char(&complete->held, byte);
	if (!named || complete->held.len > NAME_MOST)
		finish(complete, to);
	else if (byte == ':')
		take_name(complete, to);
	else if (complete->line == COMPLETE_REST)
		release(complete, to);
}

size_t
complete_feed(struct complete *complete, const char *bytes, size_t len, struct str *to)
{
	size_t at = 0;

	while (at < len && !complete->done) {
		const char *stop;
		size_t part;

		if (complete->line != COMPLETE_REST) {
			take_unsure(complete, bytes[at++], to);
			continue;
		}
		stop = memchr(bytes + at, '\n', len - at);
		part = stop ? (size_t)(stop + 1 - bytes) - at : len - at;
		str_add_bytes(to, bytes + at, part);
		at += part;
		if (stop) {
			complete->line = COMPLETE_START;
			complete->later = true;
		}
	}
	return at;
}

void
complete_end(struct complete *complete, struct str *to)
{
	if (!complete->done)
		finish(complete, to);
}
