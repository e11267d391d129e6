/* Running the scanner, spamc, over a message. */
#ifndef SCAN_H
#define SCAN_H

#include "field.h"

/*
 * Gives the message to the command's standard input and adds its standard output, at most
 * max bytes, to answer. Returns the exit code, or -1 with one printable sentence in why:
 * it could not be started, took longer than seconds (it is killed then), was killed, or
 * said too much.
 */
int scan(char **command, const struct bytes *message, struct bytes *answer, size_t max,
    unsigned seconds, const char **why);

#endif
