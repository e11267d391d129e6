/* What the programs have in common that .qmail files call. */
#ifndef LOCAL_HELPER_H
#define LOCAL_HELPER_H

#include "lib/list.h"

/* Tidy descriptors and the signals that writing needs. */
void helper_start(void);

/* A variable that qmail-local sets. Ends the process for good where it is missing. */
const char *helper_variable(const char *name);

/* DTLINE. Ends the process for good where it is missing or anything but one line, or empty. */
const char *helper_line(void);

/*
 * Runs the program that begins at arguments with the message on its descriptor 0, from the
 * message's start where that can be had, and gives its exit code. Ends the process with 111
 * where there is no such program or it did not end by itself.
 */
int helper_run(char *const arguments[]);

/* Ends the process with 111 where it is no address: to be mended, as in a line of the file. */
void helper_check_address(const char *address);

/*
 * Queues the message again for the recipients, as a forward line of the .qmail file would:
 * with DTLINE in front and NEWSENDER as its sender. Ends the process when that fails.
 */
void helper_forward(struct list *recipients);

#endif
