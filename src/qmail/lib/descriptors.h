/* The descriptors a program starts with. */
#ifndef LIB_DESCRIPTORS_H
#define LIB_DESCRIPTORS_H

/*
 * 0, 1 and 2 are open afterwards (on /dev/null where they were not), so that no file that
 * is opened later can take the place of standard output; everything above is closed.
 */
void descriptors_tidy(void);

#endif
