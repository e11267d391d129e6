/* Reports: see report.h. */
#include "remote/report.h"

#include "lib/bio.h"

#include <stdarg.h>
#include <stdio.h>

void
report_clear(struct report *report)
{
	str_clear(&report->recipients);
	str_clear(&report->text);
	report->letter = 0;
}

void
report_recipient(struct report *report, enum recipient_report letter, const char *text)
{
	str_add_char(&report->recipients, (char)letter);
	str_add(&report->recipients, text);
	str_add_char(&report->recipients, 0);
}

void
report_message(struct report *report, enum message_report letter, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	report->letter = (char)letter;
	str_set(&report->text, text);
}

void
report_quote(struct report *report, const struct str *reply)
{
	if (!reply->len)
		return;
	str_add(&report->text, "Remote host said: ");
	str_add_str(&report->text, reply);
}

void
report_write(const struct report *report)
{
	struct str all = STR_INIT;

	str_add_str(&all, &report->recipients);
	str_add_char(&all, report->letter);
	str_add_str(&all, &report->text);
	str_add_char(&all, 0);
	fd_write_all(1, all.s, all.len);
	str_free(&all);
}
