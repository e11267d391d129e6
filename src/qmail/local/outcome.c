/* Outcomes and reports: see outcome.h. */
#include "local/outcome.h"

#include "lib/addr.h"
#include "lib/bio.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define REPORT_MAX 600

static void __attribute__((format(printf, 1, 0))) write_line(const char *format, va_list args)
{
	struct str line = STR_INIT;
	char text[REPORT_MAX];
	int len = vsnprintf(text, sizeof text, format, args);

	if (len < 0)
		len = 0;
	add_printable(
	    &line, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1, sizeof text);
	str_add_char(&line, '\n');
	fd_write_all(1, line.s, line.len);
	str_free(&line);
}

void
report(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(format, args);
	va_end(args);
}

void
leave(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(format, args);
	va_end(args);
	_exit(code);
}

enum outcome
outcome_of_exit(int code)
{
	switch (code) {
	case 0: return OUTCOME_DONE;
	case 99: return OUTCOME_STOP;
	case 64:
	case 65:
	case 70:
	case 76:
	case 77:
	case 78:
	case 100:
	case 112: return OUTCOME_NEVER;
	default: return OUTCOME_LATER;
	}
}
