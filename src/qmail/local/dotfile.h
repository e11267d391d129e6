/*
 * Finding the .qmail file of an address, dot-qmail(5). The user's home is the working
 * directory. What must not be followed ends the process, with a report: a home or a file
 * that others could write to, a home that is being edited (sticky), a file that can't be
 * read.
 */
#ifndef LOCAL_DOTFILE_H
#define LOCAL_DOTFILE_H

#include "local/delivery.h"

#define DOTFILE_SIZE ((size_t)16 << 20)

struct dotfile {
	struct str name;    /* of the file that was found */
	struct str content; /* empty: the default delivery is asked for */
	bool executable;    /* only forwarding is allowed */
};

void dotfile_check_home(void);
/* False: there is none. Sets d->matched and, from the owner's files, d->new_sender. */
bool dotfile_find(struct dotfile *file, struct delivery *d);

#endif
