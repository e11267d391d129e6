/* Sizes of messages that were read for them: see sizes.h. */
#include "pop3/sizes.h"

#include "lib/bio.h"
#include "lib/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIZES_FILE "qmail-pop3d.sizes"
#define SIZES_MAX (256L << 20) /* bytes of it; a million messages with long names need as much */

bool
size_possible(unsigned long size, unsigned long stored)
{
	/* No byte is sent as more than two; a last line without an end gets one. */
	return size >= stored && (!size || (size - 1) / 2 <= stored);
}

static bool
read_text(struct str *text)
{
	int fd = open(SIZES_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat about;
	ssize_t got = -1;

	if (fd < 0)
		return false;
	if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= SIZES_MAX) {
		size_t left = (size_t)about.st_size;

		str_reserve(text, left);
		while (left && (got = fd_read(fd, text->s + text->len, left)) > 0) {
			text->len += (size_t)got;
			left -= (size_t)got;
		}
	}
	close(fd);
	return got >= 0;
}

/* The number that a field is, up to its blank, which becomes a NUL; NULL: it is none. */
static char *
take_number(char *at, unsigned long *number)
{
	char *blank = strchr(at, ' ');

	if (!blank)
		return NULL;
	*blank = 0;
	return number_parse(at, ULONG_MAX, number) ? blank + 1 : NULL;
}

static int
by_name(const void *a, const void *b)
{
	const struct known_size *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void
sizes_load(struct sizes *sizes)
{
	char *at, *end, *next;
	size_t room = 0;

	if (!read_text(&sizes->text))
		return;
	end = sizes->text.s + sizes->text.len;
	for (at = sizes->text.s; (next = memchr(at, 0, (size_t)(end - at))); at = next + 1) {
		struct known_size known;
		char *stored = take_number(at, &known.size), *name;

		name = stored ? take_number(stored, &known.stored) : NULL;
		if (!name)
			continue;
		known.name = name;
		if (sizes->count == room) {
			room = room ? 2 * room : 64;
			sizes->known = mem_resize(sizes->known, room, sizeof *sizes->known);
		}
		sizes->known[sizes->count++] = known;
	}
	if (sizes->count)
		qsort(sizes->known, sizes->count, sizeof *sizes->known, by_name);
}

bool
sizes_find(const struct sizes *sizes, const char *name, size_t len, unsigned long stored,
    unsigned long *size)
{
	const struct known_size *found;
	struct str unique = STR_INIT;
	struct known_size key;

	if (!sizes->count)
		return false;
	str_set_bytes(&unique, name, len);
	key.name = unique.s;
	found = bsearch(&key, sizes->known, sizes->count, sizeof key, by_name);
	str_free(&unique);
	if (!found || found->stored != stored || !size_possible(found->size, stored))
		return false;
	*size = found->size;
	return true;
}

void
sizes_free(struct sizes *sizes)
{
	str_free(&sizes->text);
	free(sizes->known);
	*sizes = (struct sizes)SIZES_INIT;
}

void
sizes_add(struct str *text, const char *name, size_t len, unsigned long stored, unsigned long size)
{
	str_add_number(text, size);
	str_add_char(text, ' ');
	str_add_number(text, stored);
	str_add_char(text, ' ');
	str_add_bytes(text, name, len);
	str_add_char(text, 0);
}

void
sizes_save(const struct str *text)
{
	struct timespec now;
	char path[64];
	bool done;
	int fd;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(path, sizeof path, "tmp/%lld.M%06ldP%ld.pop3d", (long long)now.tv_sec,
	    now.tv_nsec / 1000, (long)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	done = fd_write_all(fd, text->s, text->len);
	done = close(fd) == 0 && done;
	if (!done || rename(path, SIZES_FILE) < 0)
		unlink(path);
}
