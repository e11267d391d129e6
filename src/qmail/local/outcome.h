/*
 * How a delivery ended, and the report that qmail-lspawn hands on: text on descriptor 1,
 * which becomes part of qmail-send's log and, for good failures, of the bounce.
 */
#ifndef LOCAL_OUTCOME_H
#define LOCAL_OUTCOME_H

enum outcome {
	OUTCOME_DONE,
	OUTCOME_STOP,  /* done, and no further instruction is to be followed */
	OUTCOME_NEVER, /* failed for good */
	OUTCOME_LATER  /* failed for now */
};

#define EXIT_NEVER 100
#define EXIT_LATER 111

/* One line of the report; control characters become '?'. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The line, then the end of the process. */
_Noreturn void leave(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a program's exit code means to its delivery, qmail-command(8). */
enum outcome outcome_of_exit(int code);

#endif
