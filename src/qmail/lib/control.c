/* Control files: see control.h. */
#include "lib/control.h"

#include "lib/bio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum control
file_read(const char *path, struct str *content, size_t max)
{
	enum control result = CONTROL_ERROR;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	str_clear(content);
	if (fd < 0)
		return errno == ENOENT ? CONTROL_ABSENT : CONTROL_ERROR;
	for (;;) {
		char buffer[4096];
		ssize_t got = fd_read(fd, buffer, sizeof buffer);

		if (got < 0)
			break;
		if (got == 0) {
			result = CONTROL_OK;
			break;
		}
		if ((size_t)got > max - content->len) {
			errno = EFBIG;
			break;
		}
		str_add_bytes(content, buffer, (size_t)got);
	}
	if (close(fd) < 0)
		return CONTROL_ERROR;
	return result;
}

/* Valid until the next one. Kept, since a program reads twenty such files when it starts. */
static const char *
path_of(const char *name)
{
	static struct str path = STR_INIT;

	str_set(&path, "control/");
	str_add(&path, name);
	return path.s;
}

enum control
control_line(const char *name, struct str *value)
{
	enum control result = file_read(path_of(name), value, CONTROL_SIZE);

	if (result != CONTROL_OK)
		return result;
	str_cut(value, str_find(value, '\n'));
	str_trim_end(value);
	if (str_has_nul(value)) {
		errno = EINVAL;
		return CONTROL_ERROR;
	}
	return CONTROL_OK;
}

enum control
control_line_or_me(const char *name, struct str *value, const char *fallback)
{
	enum control result = control_line(name, value);

	if (result == CONTROL_ABSENT)
		result = control_line("me", value);
	if (result == CONTROL_ABSENT && fallback) {
		str_set(value, fallback);
		result = CONTROL_OK;
	}
	return result;
}

enum control
control_number(const char *name, unsigned long max, unsigned long *value)
{
	static struct str line = STR_INIT;
	enum control result = control_line(name, &line);

	if (result == CONTROL_OK && !number_parse(line.s, max, value)) {
		errno = EINVAL;
		result = CONTROL_ERROR;
	}
	return result;
}

static bool
add_lines(struct list *lines, const struct str *content)
{
	struct str line = STR_INIT;
	size_t at = 0;
	bool clean = true;

	while (at < content->len && clean) {
		const char *start = content->s + at;
		const char *stop = memchr(start, '\n', content->len - at);
		size_t len = stop ? (size_t)(stop - start) : content->len - at;

		str_set_bytes(&line, start, len);
		str_trim_end(&line);
		clean = !str_has_nul(&line);
		if (clean && line.len && line.s[0] != '#')
			list_add(lines, line.s);
		at += len + 1;
	}
	str_free(&line);
	return clean;
}

enum control
file_list(const char *path, struct list *lines)
{
	struct str content = STR_INIT;
	enum control result = file_read(path, &content, CONTROL_SIZE);

	if (result == CONTROL_OK && !add_lines(lines, &content)) {
		errno = EINVAL;
		result = CONTROL_ERROR;
	}
	str_free(&content);
	return result;
}

enum control
control_list(const char *name, struct list *lines)
{
	return file_list(path_of(name), lines);
}
