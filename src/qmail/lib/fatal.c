/* The end of a program that people call: see fatal.h. */
#include "lib/fatal.h"

#include "lib/bio.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void
fatal(int code, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say("%s: fatal: %s\n", fatal_program, text);
	_exit(code);
}
