/* What a program starts with: its descriptors, and who may look at it. */
#ifndef LIB_DESCRIPTORS_H
#define LIB_DESCRIPTORS_H

#include <stdbool.h>

/*
 * 0, 1 and 2 are open afterwards (on /dev/null where they were not), so that no file that
 * is opened later can take the place of standard output; everything above is closed.
 */
void descriptors_tidy(void);

/* Closes the first one and all above it. */
void descriptors_close(int first);

/*
 * Whoever started this program has given it that descriptor. In a program that is setuid musl opens
 * /dev/null, to read and to write, in the place of one that was closed, and whoever reads a message
 * from there has an empty one.
 */
bool descriptor_given(int fd);

/*
 * The memory, the environment and the descriptors of this process are closed to others of its user
 * id, and there is no core dump. The first act of a program that sees mail or passwords. As it is
 * installed, a program is so from its start, since nobody but root can read it; this holds for one
 * that was copied with other modes.
 */
void process_closed(void);

#endif
