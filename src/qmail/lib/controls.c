/* The table of control files: see controls.h. */
#include "lib/controls.h"

#include "lib/control.h"

#include <errno.h>
#include <string.h>

#define CLASSIC(name, kind, absent, max, programs, meaning)                                        \
	{name, true, CONTROL_KIND_##kind, absent, max, programs, meaning},
#define CONTROL(name, kind, absent, max, programs, meaning)                                        \
	{name, false, CONTROL_KIND_##kind, absent, max, programs, meaning},
const struct control_entry controls[] = {
#include "lib/controls.def"
};

const size_t controls_count = sizeof controls / sizeof *controls;

const struct control_entry *
controls_find(const char *name)
{
	size_t i;

	for (i = 0; i < controls_count; i++)
		if (!strcmp(controls[i].name, name))
			return &controls[i];
	return NULL;
}

bool
controls_number(const char *name, unsigned long *value)
{
	const struct control_entry *entry = controls_find(name);
	unsigned long number;

	errno = EINVAL;
	if (!entry || entry->kind != CONTROL_KIND_NUMBER ||
	    !number_parse(entry->absent, entry->max, &number))
		return false;
	if (control_number(name, entry->max, &number) == CONTROL_ERROR)
		return false;
	*value = number;
	return true;
}
