/*
 * Preloaded into qmail-send: the directory todo lists an entry STALE at its end that is not there,
 * as one that has gone while the directory was being read.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static DIR *todo;

DIR *
opendir(const char *name)
{
	DIR *(*real)(const char *) = (DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir");
	DIR *opened = real(name);

	if (!strcmp(name, "todo"))
		todo = opened;
	return opened;
}

struct dirent *
readdir(DIR *directory)
{
	struct dirent *(*real)(DIR *) = (struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir");
	static struct dirent stale;
	struct dirent *entry = real(directory);

	if (entry || directory != todo || !getenv("STALE"))
		return entry;
	todo = NULL;
	snprintf(stale.d_name, sizeof stale.d_name, "%s", getenv("STALE"));
	return &stale;
}
