/* Delivery to a program, qmail-command(8). */
#ifndef LOCAL_PROGRAM_H
#define LOCAL_PROGRAM_H

#include "local/outcome.h"

#include <sys/types.h>

/*
 * From now on the programs of this process may together run for so many seconds. What is over is
 * ended, with everything that it has started, and counts as failed for now.
 */
void program_limit(unsigned seconds);

/*
 * A program can't start another process where its user has so many (0: any number), started by it
 * or not. It holds for this process from the first program on; a delivery without one needs none.
 */
void program_limit_processes(unsigned long count);

/*
 * Runs sh -c command with the message, from its start, on descriptor 0, and waits for it;
 * what it writes to 1 and 2 is part of the report.
 */
enum outcome program_deliver(const char *command, char **environment);

/* Runs a program found by PATH; its exit code, or -1 (with a report) when there is none. */
int program_run(const char *file, char *const arguments[], char **environment);

#endif
