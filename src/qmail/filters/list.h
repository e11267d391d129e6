/*
 * A list of mail filters, as hi-q(8) describes it: whether there is anything to do.
 *
 * hi-q asks, before it starts an interpreter, and qmail-smtpd, before it starts hi-q. What isn't
 * understood at once has an answer of "no", and is left to the program that judges lists.
 */
#ifndef FILTERS_LIST_H
#define FILTERS_LIST_H

#include <stdbool.h>

/*
 * The list is one that counts, and has no filter: blank lines, and comments of printable ASCII, are
 * all there is, and nobody may write to it but root or whom this process acts for.
 */
bool filters_none(const char *path);

#endif
