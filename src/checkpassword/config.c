#include "config.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool
blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* One line without its newline. */
static bool
parse_line(const char *line, size_t length, struct config *config, char *why, size_t size)
{
	static const char key[] = "database";
	const size_t key_length = sizeof key - 1;

	while (length > 0 && blank(line[length - 1]))
		length--;
	while (length > 0 && blank(*line))
		line++, length--;
	if (length == 0 || *line == '#')
		return true;
	if (length <= key_length || memcmp(line, key, key_length) != 0 ||
	    !blank(line[key_length])) {
		snprintf(why, size, "the only setting is \"database PATH\"");
		return false;
	}
	line += key_length, length -= key_length;
	while (length > 0 && blank(*line))
		line++, length--;
	if (*config->database) {
		snprintf(why, size, "database is set twice");
		return false;
	}
	if (*line != '/' || length >= sizeof config->database || memchr(line, '\0', length)) {
		snprintf(why, size, "database must be an absolute path of less than %d bytes",
		    CONFIG_PATH_MAX);
		return false;
	}
	memcpy(config->database, line, length);
	config->database[length] = '\0';
	return true;
}

bool
config_parse(const char *text, size_t length, struct config *config, char *why, size_t size)
{
	config->database[0] = '\0';
	while (length > 0) {
		const char *newline = memchr(text, '\n', length);
		size_t line = newline ? (size_t)(newline - text) : length;

		if (!parse_line(text, line, config, why, size))
			return false;
		if (newline)
			line++;
		text += line, length -= line;
	}
	if (!*config->database) {
		snprintf(why, size, "no \"database PATH\" line");
		return false;
	}
	return true;
}

bool
config_read(int fd, struct config *config, char *why, size_t size)
{
	char text[CONFIG_MAX + 1];
	size_t length = 0;

	while (length < sizeof text) {
		ssize_t got = read(fd, text + length, sizeof text - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			snprintf(why, size, "%s", strerror(errno));
			return false;
		}
		if (got == 0)
			break;
		length += (size_t)got;
	}
	if (length > CONFIG_MAX) {
		snprintf(why, size, "longer than %d bytes", CONFIG_MAX);
		return false;
	}
	return config_parse(text, length, config, why, size);
}
