/* Going through a directory of the queue: see walk.h. */
#include "queue/walk.h"

#include "lib/str.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

static bool
walk_one(const char *path, void (*visit)(unsigned long id))
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	unsigned long id;

	if (!directory)
		return false;
	while (errno = 0, (entry = readdir(directory)))
		if (number_parse(entry->d_name, ULONG_MAX, &id))
			visit(id);
	if (errno) {
		closedir(directory);
		return false;
	}
	return closedir(directory) == 0;
}

bool
walk(const char *directory, bool split, void (*visit)(unsigned long id))
{
	char path[64];
	unsigned part;

	if (!split)
		return walk_one(directory, visit);
	for (part = 0; part < QUEUE_SPLIT; part++) {
		snprintf(path, sizeof path, "%s/%u", directory, part);
		if (!walk_one(path, visit))
			return false;
	}
	return true;
}
