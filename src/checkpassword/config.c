#include "config.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef LOGINS_FILE
#define LOGINS_FILE "/var/qmail/users/logins.cdb"
#endif

static bool
blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

enum { COUNT_MAX = 1000000, SECONDS_MAX = 31536000, UNSET = -1 };

static bool
parse_path(char path[CONFIG_PATH_MAX], const char *value, size_t length)
{
	if (*value != '/' || length >= CONFIG_PATH_MAX || memchr(value, '\0', length))
		return false;
	memcpy(path, value, length);
	path[length] = '\0';
	return true;
}

/* A number from least to most. */
static bool
parse_number(unsigned long *number, const char *value, size_t length, unsigned long least,
    unsigned long most)
{
	unsigned long sum = 0;

	for (size_t i = 0; i < length; i++) {
		if (value[i] < '0' || value[i] > '9')
			return false;
		sum = sum * 10 + (unsigned long)(value[i] - '0');
		if (sum > most)
			return false;
	}
	*number = sum;
	return length > 0 && sum >= least;
}

static bool
parse_network(struct config *config, const char *value, size_t length)
{
	return config->excepted_count < CONFIG_NETWORKS_MAX &&
	       network_parse(&config->excepted[config->excepted_count++], value, length);
}

/* The settings, in the order in which parse_value knows them. */
static const struct {
	const char *key;
	const char *value; /* what it must be */
} SETTINGS[] = {
    {"database", "an absolute path of less than 1024 bytes"},
    {"failures", "an absolute path of less than 1024 bytes"},
    {"logins", "an absolute path of less than 1024 bytes"},
    {"failures-per-address", "a number up to 1000000"},
    {"failures-per-network", "a number up to 1000000"},
    {"failures-per-account", "a number up to 1000000"},
    {"failures-seconds", "a number from 1 to 31536000"},
    {"failures-trust", "a number up to 31536000"},
    {"failures-except", "a network such as 192.0.2.0/24, one of at most 64"},
};

enum { SETTINGS_COUNT = sizeof SETTINGS / sizeof *SETTINGS, EXCEPT = SETTINGS_COUNT - 1 };

static bool
parse_value(struct config *config, int setting, const char *value, size_t length)
{
	struct failures_limits *limits = &config->limits;

	switch (setting) {
	case 0: return parse_path(config->database, value, length);
	case 1: return parse_path(config->failures, value, length);
	case 2: return parse_path(config->logins, value, length);
	case 3: return parse_number(&limits->address, value, length, 0, COUNT_MAX);
	case 4: return parse_number(&limits->network, value, length, 0, COUNT_MAX);
	case 5: return parse_number(&limits->account, value, length, 0, COUNT_MAX);
	case 6: return parse_number(&limits->seconds, value, length, 1, SECONDS_MAX);
	case 7: return parse_number(&limits->trust, value, length, 0, SECONDS_MAX);
	default: return parse_network(config, value, length);
	}
}

static int
find_setting(const char *key, size_t length)
{
	for (int i = 0; i < SETTINGS_COUNT; i++)
		if (strlen(SETTINGS[i].key) == length && memcmp(SETTINGS[i].key, key, length) == 0)
			return i;
	return UNSET;
}

/* One line without its newline; seen[] remembers which settings there were. */
static bool
parse_line(const char *line, size_t length, struct config *config, bool seen[SETTINGS_COUNT],
    char *why, size_t size)
{
	size_t key = 0;
	int setting;

	while (length > 0 && blank(line[length - 1]))
		length--;
	while (length > 0 && blank(*line))
		line++, length--;
	if (length == 0 || *line == '#')
		return true;
	while (key < length && !blank(line[key]))
		key++;
	setting = find_setting(line, key);
	if (setting == UNSET) {
		snprintf(why, size, "a line is no setting; the first is \"database PATH\"");
		return false;
	}
	if (seen[setting] && setting != EXCEPT) {
		snprintf(why, size, "%s is set twice", SETTINGS[setting].key);
		return false;
	}
	seen[setting] = true;
	line += key, length -= key;
	while (length > 0 && blank(*line))
		line++, length--;
	if (length == 0 || !parse_value(config, setting, line, length)) {
		snprintf(
		    why, size, "%s must be %s", SETTINGS[setting].key, SETTINGS[setting].value);
		return false;
	}
	return true;
}

bool
config_parse(const char *text, size_t length, struct config *config, char *why, size_t size)
{
	bool seen[SETTINGS_COUNT] = {false};

	*config = (struct config){
	    .logins = LOGINS_FILE,
	    .limits =
		{.address = 20, .network = 40, .account = 40, .seconds = 3600, .trust = 604800},
	};
	while (length > 0) {
		const char *newline = memchr(text, '\n', length);
		size_t line = newline ? (size_t)(newline - text) : length;

		if (!parse_line(text, line, config, seen, why, size))
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
config_excepts(const struct config *config, const struct place *place)
{
	for (size_t i = 0; i < config->excepted_count; i++)
		if (network_has(&config->excepted[i], place))
			return true;
	return false;
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
