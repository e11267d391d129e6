/* The table of control files (lib/controls.def) and the numbers that come from it. */
#ifndef LIB_CONTROLS_H
#define LIB_CONTROLS_H

#include <stdbool.h>
#include <stddef.h>

enum control_kind {
	CONTROL_KIND_LINE,
	CONTROL_KIND_NUMBER,
	CONTROL_KIND_LIST,
	CONTROL_KIND_TABLE,
	CONTROL_KIND_DATABASE,
	CONTROL_KIND_SECRET,
	CONTROL_KIND_PEM,
	CONTROL_KIND_DIRECTORY
};

struct control_entry {
	const char *name;
	bool classic; /* every qmail has it; else it is this suite's own */
	enum control_kind kind;
	const char *absent; /* what holds while there is no such file */
	unsigned long max;  /* of a number */
	const char *programs;
	const char *meaning;
};

extern const struct control_entry controls[];
extern const size_t controls_count;

/* The entry, or NULL. */
const struct control_entry *controls_find(const char *name);

/*
 * The number in control/NAME, or the table's default while there is no such file. False
 * for a file that can't be read or holds something else (errno), or a name that is no
 * number of the table; *value is not changed then.
 */
bool controls_number(const char *name, unsigned long *value);

#endif
