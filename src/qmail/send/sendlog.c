/* qmail-send's log: see sendlog.h. */
#include "send/sendlog.h"

#include "lib/bio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COLLECT 8192
#define LINE_MAX_BYTES 16384

static struct str pending = STR_INIT;

void
log_flush(void)
{
	fd_write_all(LOG_FD, pending.s, pending.len);
	str_clear(&pending);
}

void
log_line(const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (len < 0)
		return;
	str_add(&pending, line);
	str_add_char(&pending, '\n');
	if (pending.len >= COLLECT)
		log_flush();
}

void
log_trouble(const char *what, const char *path, const char *then)
{
	const char *error = strerror(errno);

	log_line("warning: trouble %s %s: %s; %s", what, path, error, then);
}

void
log_add_report(struct str *to, const char *report)
{
	for (; *report; report++) {
		unsigned char c = (unsigned char)*report;

		if (c == '\n')
			c = '/';
		else if (c == ' ')
			c = '_';
		else if (c < 33 || c > 126)
			c = '?';
		str_add_char(to, (char)c);
	}
}
