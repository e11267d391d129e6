/* Finding the .qmail file of an address: see dotfile.h. */
#include "local/dotfile.h"

#include "lib/bio.h"
#include "local/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITABLE_BY_OTHERS (S_IWGRP | S_IWOTH)

void
dotfile_check_home(void)
{
	struct stat st;

	if (stat(".", &st))
		leave(
		    EXIT_LATER, "Can't look at the home directory: %s. (#4.3.0)", strerror(errno));
	if (st.st_mode & WRITABLE_BY_OTHERS)
		leave(EXIT_LATER, "The home directory can be written to by others than its owner; "
				  "chmod go-w it. (#4.7.0)");
	if (st.st_mode & S_ISVTX)
		leave(EXIT_LATER,
		    "The home directory is sticky: its owner is editing .qmail files. (#4.2.1)");
}

/* No such name can exist: the same as no such file. */
static bool
means_absent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG;
}

static void
load(struct dotfile *file, int fd)
{
	for (;;) {
		char buffer[4096];
		ssize_t got = fd_read(fd, buffer, sizeof buffer);

		if (got < 0)
			leave(EXIT_LATER, "Can't read %s: %s. (#4.3.0)", file->name.s,
			    strerror(errno));
		if (got == 0)
			return;
		if ((size_t)got > DOTFILE_SIZE - file->content.len)
			leave(EXIT_LATER, "%s is larger than %zu bytes. (#4.3.0)", file->name.s,
			    DOTFILE_SIZE);
		str_add_bytes(&file->content, buffer, (size_t)got);
	}
}

static bool
load_if_there(struct dotfile *file)
{
	struct stat st;
	int fd = open(file->name.s, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 && means_absent(errno))
		return false;
	if (fd < 0 || fstat(fd, &st))
		leave(EXIT_LATER, "Can't open %s: %s. (#4.3.0)", file->name.s, strerror(errno));
	if (!S_ISREG(st.st_mode))
		leave(EXIT_LATER, "%s is not a file. (#4.3.0)", file->name.s);
	if (st.st_mode & WRITABLE_BY_OTHERS)
		leave(EXIT_LATER,
		    "%s can be written to by others than its owner; chmod go-w it. (#4.7.0)",
		    file->name.s);
	file->executable = st.st_mode & S_IXUSR;
	load(file, fd);
	close(fd);
	return true;
}

/* Whether a file of this name exists. */
static bool
exists(const struct str *stem, const char *suffix)
{
	struct str name = STR_INIT;
	struct stat st;
	bool there;

	str_set_str(&name, stem);
	str_add(&name, suffix);
	there = stat(name.s, &st) == 0;
	if (!there && !means_absent(errno))
		leave(EXIT_LATER, "Can't look at %s: %s. (#4.3.0)", name.s, strerror(errno));
	str_free(&name);
	return there;
}

/* .qmail{dash}{ext}, with ext so that it can name nothing outside the home. */
static void
set_stem(struct str *stem, const struct delivery *d)
{
	struct str ext = STR_INIT;

	str_set(&ext, d->ext);
	str_lower(&ext);
	str_replace(&ext, '.', ':');
	str_set(stem, ".qmail");
	str_add(stem, d->dash);
	str_add_str(stem, &ext);
	str_free(&ext);
}

static bool
find_default(struct dotfile *file, struct delivery *d, const struct str *stem)
{
	size_t base = stem->len - strlen(d->ext), i = strlen(d->ext);

	for (;; i--) {
		if (i == 0 || d->ext[i - 1] == '-') {
			str_set_bytes(&file->name, stem->s, base + i);
			str_add(&file->name, "default");
			if (load_if_there(file)) {
				d->matched = d->ext + i;
				return true;
			}
		}
		if (i == 0)
			return false;
	}
}

/* The user's own instructions, for an extension of his that has none. */
static bool
find_whole(struct dotfile *file, const struct delivery *d)
{
	if (!d->whole || !*d->dash)
		return false;
	str_set(&file->name, ".qmail");
	return load_if_there(file);
}

bool
dotfile_find(struct dotfile *file, struct delivery *d)
{
	struct str stem = STR_INIT;
	bool found;

	set_stem(&stem, d);
	str_set_str(&file->name, &stem);
	found = load_if_there(file) || (*d->dash && find_default(file, d, &stem));
	if (found && exists(&stem, "-owner"))
		delivery_set_owner(d, exists(&stem, "-owner-default"));
	str_free(&stem);
	return found || find_whole(file, d);
}
