/* The end of a program that people call: one line tells why. */
#ifndef LIB_FATAL_H
#define LIB_FATAL_H

/* What the program calls itself: it defines this. */
extern const char fatal_program[];

/* Says "PROGRAM: fatal: " and the text on descriptor 2, and ends with this code. */
_Noreturn void fatal(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
