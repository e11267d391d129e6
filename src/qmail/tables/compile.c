/* Writing a constant database in place of another: see compile.h. */
#include "tables/compile.h"

#include "lib/bio.h"
#include "lib/control.h"
#include "lib/identity.h"
#include "lib/queuefs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
compile_fail(struct compiler *c, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say("%s: fatal: %s\n", c->program, text);
	if (c->temporary.len)
		unlink(c->temporary.s);
	_exit(111);
}

void
compile_begin(struct compiler *c, const char *program, const char *path)
{
	*c = (struct compiler){.program = program, .path = path, .temporary = STR_INIT};
	str_addf(&c->temporary, "%s.%ld.tmp", path, (long)getpid());
	umask(022);
	c->fd = open(c->temporary.s, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (c->fd < 0)
		compile_fail(c, "can't create %s: %s", c->temporary.s, strerror(errno));
	if (cdb_make_start(&c->make, c->fd) < 0)
		compile_fail(c, "can't begin %s: %s", c->temporary.s, strerror(errno));
}

void
compile_add(
    struct compiler *c, const void *key, size_t key_len, const void *value, size_t value_len)
{
	if (key_len > INT32_MAX || value_len > INT32_MAX ||
	    cdb_make_add(&c->make, key, (unsigned)key_len, value, (unsigned)value_len) < 0)
		compile_fail(c, "can't write to %s: %s", c->temporary.s, strerror(errno));
}

static bool
sync_parent(const char *path)
{
	struct str directory = STR_INIT;
	bool done;

	str_set(&directory, path);
	str_cut(&directory, str_rfind(&directory, '/'));
	done = directory_sync(directory.s);
	str_free(&directory);
	return done;
}

void
compile_end(struct compiler *c)
{
	if (cdb_make_finish(&c->make) < 0 || fsync(c->fd) || close(c->fd) ||
	    rename(c->temporary.s, c->path))
		compile_fail(c, "can't write %s: %s", c->path, strerror(errno));
	if (!sync_parent(c->path))
		compile_fail(
		    c, "%s is in place, but can't be made durable: %s", c->path, strerror(errno));
	str_free(&c->temporary);
}

int
compile_list(const char *program, const char *name, const char *(*bad)(const struct str *line))
{
	struct str path = STR_INIT, line = STR_INIT;
	struct list lines = LIST_INIT;
	struct compiler c = {.program = program, .temporary = STR_INIT};
	size_t i;

	if (!home_enter())
		compile_fail(&c, "can't enter %s: %s", home(), strerror(errno));
	if (control_list(name, &lines) != CONTROL_OK)
		compile_fail(&c, "can't read control/%s: %s", name, strerror(errno));
	list_index(&lines);
	str_addf(&path, "control/%s.cdb", name);
	compile_begin(&c, program, path.s);
	for (i = 0; i < lines.count; i++) {
		const char *why;

		str_set(&line, lines.items[i]);
		str_lower(&line);
		why = bad ? bad(&line) : NULL;
		if (why)
			compile_fail(&c, "control/%s: \"%s\" %s", name, line.s, why);
		compile_add(&c, line.s, line.len, "", 0);
	}
	compile_end(&c);
	return 0;
}
