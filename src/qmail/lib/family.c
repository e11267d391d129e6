/* The descendants of a process: see family.h. */
#include "lib/family.h"

#include "lib/bio.h"
#include "lib/mem.h"
#include "lib/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 64

struct process {
	pid_t pid, parent;
	bool inside;
};

/* Reads parent and state; false for what has ended, as a zombie has. */
static bool
is_alive(const char *pid, pid_t *parent)
{
	struct str path = STR_INIT;
	char text[512], state;
	const char *behind;
	ssize_t got;
	int fd;

	str_addf(&path, "/proc/%s/stat", pid);
	fd = open(path.s, O_RDONLY | O_CLOEXEC);
	str_free(&path);
	if (fd < 0)
		return false;
	got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0)
		return false;
	text[got] = 0;
	behind = strrchr(text, ')'); /* its name may hold anything */
	return behind && sscanf(behind, ") %c %d", &state, parent) == 2 && state != 'Z' &&
	       state != 'X';
}

static struct process *
list_processes(size_t *count)
{
	struct process *all = NULL;
	size_t room = 0;
	const struct dirent *entry;
	DIR *directory = opendir("/proc");

	*count = 0;
	while (directory && (entry = readdir(directory))) {
		struct process found = {.inside = false};
		unsigned long pid;

		if (!number_parse(entry->d_name, INT_MAX, &pid) ||
		    !is_alive(entry->d_name, &found.parent))
			continue;
		found.pid = (pid_t)pid;
		if (*count == room)
			all = mem_resize(all, room = room ? 2 * room : 256, sizeof *all);
		all[(*count)++] = found;
	}
	if (directory)
		closedir(directory);
	return all;
}

/* Adds what the kernel says are our children and the list has not: hidden ones, and zombies. */
static struct process *
add_own_children(struct process *all, size_t *count)
{
	struct str path = STR_INIT;
	size_t listed = *count, i;
	pid_t self = getpid();
	FILE *children;
	int pid;

	str_addf(&path, "/proc/self/task/%d/children", (int)self);
	children = fopen(path.s, "re");
	str_free(&path);
	while (children && fscanf(children, "%d", &pid) == 1) {
		for (i = 0; i < listed && all[i].pid != pid; i++)
			;
		if (i < listed)
			continue;
		all = mem_resize(all, *count + 1, sizeof *all);
		all[(*count)++] = (struct process){.pid = pid, .parent = self};
	}
	if (children)
		fclose(children);
	return all;
}

static int
by_pid(const void *left, const void *right)
{
	const struct process *a = left, *b = right;

	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static bool
is_inside(const struct process *all, size_t count, pid_t pid)
{
	const struct process key = {.pid = pid}, *found = NULL;

	if (count)
		found = bsearch(&key, all, count, sizeof *all, by_pid);
	return found && found->inside;
}

/* Marks the descendants; those of a parent with a higher number take a round of their own. */
static void
mark(struct process *all, size_t count, pid_t of)
{
	bool more = true;
	int round;
	size_t i;

	for (round = 0; more && round < ROUNDS; round++) {
		more = false;
		for (i = 0; i < count; i++) {
			if (all[i].inside || all[i].pid == of)
				continue;
			if (all[i].parent == of || is_inside(all, count, all[i].parent))
				all[i].inside = more = true;
		}
	}
}

size_t
family_signal(pid_t of, int number)
{
	size_t count, alive = 0, i;
	struct process *all = list_processes(&count);

	if (of == getpid())
		all = add_own_children(all, &count);
	if (count)
		qsort(all, count, sizeof *all, by_pid);
	mark(all, count, of);
	for (i = 0; i < count; i++) {
		if (!all[i].inside)
			continue;
		alive++;
		kill(all[i].pid, number);
	}
	free(all);
	return alive;
}
