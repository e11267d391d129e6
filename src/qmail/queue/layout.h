/* What a home consists of: directories, queue, programs, with owners and modes. */
#ifndef QUEUE_LAYOUT_H
#define QUEUE_LAYOUT_H

#include "lib/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct layout_entry {
	const char *path; /* below the home; a program's name */
	mode_t mode;      /* with the file type */
	enum identity owner;
	bool split; /* holds QUEUE_SPLIT directories of the same kind, named 0, 1, ... */
	off_t size; /* of a regular file when it is made */
};

/* Directories before what is in them. The group is always the queue's. */
extern const struct layout_entry layout_home[];
extern const size_t layout_home_count;

/*
 * How the program is installed: special ones by name, the rest 0711 and the owner's. Who runs a
 * program that he can't read gets a process whose memory and descriptors are closed to others of
 * his user id, from its first moment.
 */
struct layout_entry layout_program(const char *name);

/* Every program of this build, in the Makefile's order, then NULL; in a file make writes. */
extern const char *const layout_programs[];

#endif
