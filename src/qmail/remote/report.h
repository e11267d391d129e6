/*
 * What qmail-remote says on descriptor 1, as its manual page documents: recipient reports
 * (r, h, s), then one message report (K, Z, D), each ended by a NUL.
 *
 * Nothing is written before report_write, so whatever happens on the way, the output is
 * whole.
 */
#ifndef REMOTE_REPORT_H
#define REMOTE_REPORT_H

#include "lib/str.h"

enum recipient_report { RECIPIENT_ACCEPTED = 'r', RECIPIENT_REFUSED = 'h', RECIPIENT_LATER = 's' };
enum message_report { MESSAGE_SENT = 'K', MESSAGE_LATER = 'Z', MESSAGE_REFUSED = 'D' };

struct report {
	struct str recipients; /* finished reports */
	char letter;           /* of the message report, 0 while there is none */
	struct str text;
};

#define REPORT_INIT                                                                                \
	{                                                                                          \
		STR_INIT, 0, STR_INIT                                                              \
	}

/* Forgets what an attempt with an earlier host said. */
void report_clear(struct report *report);
void report_recipient(struct report *report, enum recipient_report letter, const char *text);
/* The last one said counts. */
void report_message(struct report *report, enum message_report letter, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds to the message report what the server said (may be empty). */
void report_quote(struct report *report, const struct str *reply);
/* Writes all of it to descriptor 1. */
void report_write(const struct report *report);

#endif
