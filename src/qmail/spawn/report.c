/* What qmail-remote prints, as one report: see report.h. */
#include "spawn/report.h"

#include <string.h>

struct part {
	char letter; /* 0: there is none */
	const char *text;
	size_t len;
};

/* The next part; false where no whole one is left. */
static bool
next_part(const char **at, const char *end, struct part *part)
{
	const char *stop = *at < end ? memchr(*at, 0, (size_t)(end - *at)) : NULL;

	if (!stop)
		return false;
	part->letter = **at;
	part->text = stop > *at ? *at + 1 : *at;
	part->len = stop > *at ? (size_t)(stop - *at) - 1 : 0;
	*at = stop + 1;
	return true;
}

static void
add_part(struct str *report, const struct part *part)
{
	str_add_bytes(report, part->text, part->len);
}

void
report_remote(int code, const char *output, size_t len, struct str *report)
{
	struct part recipient = {0, "", 0}, message = {0, "", 0}, part;
	const char *at = output, *end = output + len;

	while (next_part(&at, end, &part)) {
		if (!recipient.letter && part.letter && strchr("rhs", part.letter))
			recipient = part;
		else if (!message.letter && part.letter && strchr("KZD", part.letter))
			message = part;
	}
	str_clear(report);
	if (code == 111) {
		str_set(report, "ZUnable to run qmail-remote. ");
		str_add_bytes(report, output, len);
		str_replace(report, 0, ' ');
		return;
	}
	if (code != 0 || !message.letter) {
		str_set(report, "Zqmail-remote did not make sense.\n");
		return;
	}
	if (message.letter == 'K' && recipient.letter == 'h')
		str_add_char(report, 'D');
	else if (message.letter == 'K' && recipient.letter != 'r')
		str_add_char(report, 'Z'); /* s, or nothing said about the recipient */
	else if (message.letter == 'D' && recipient.letter == 's')
		str_add_char(report, 'Z');
	else if (message.letter == 'Z' && recipient.letter == 'h')
		str_add_char(report, 'D');
	else
		str_add_char(report, message.letter);
	add_part(report, &recipient);
	add_part(report, &message);
}
