/*
 * Control files and what is looked up in them: a byte of key length, the key (a host), the
 * file. Searches must find what going through the lines one by one finds.
 */
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"
#include "lib/control.h"
#include "remote/bydomain.h"
#include "remote/route.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static char directory[] = "/tmp/fuzz-routes-XXXXXX";
static int here, there, file;

static void
clean_up(void)
{
	if (fchdir(there) || unlink("control/x") || rmdir("control") || rmdir(directory))
		perror(directory);
}

/* A home whose control/x is a file in memory. */
static void
prepare(void)
{
	char target[32];

	file = scratch_open();
	snprintf(target, sizeof target, "/proc/self/fd/%d", file);
	here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(mkdtemp(directory));
	there = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(here >= 0 && there >= 0 && fchdir(there) == 0 && mkdir("control", 0700) == 0);
	MUST(symlink(target, "control/x") == 0 && fchdir(here) == 0);
	atexit(clean_up);
}

static void
lookups(struct list *lines, const char *key)
{
	const char *first = NULL, *line, *found;
	size_t i, key_len = strlen(key);
	struct route route = ROUTE_INIT;
	bool listed = false;

	list_index(lines);
	for (i = 0; i < lines->count; i++) {
		const char *item = lines->items[i];
		size_t len = strcspn(item, ":");

		MUST(*item && *item != '#');
		listed |= !strcasecmp(item, key);
		if (!first && item[len] == ':' && len == key_len && !strncasecmp(item, key, len))
			first = item + len + 1;
	}
	list_sort(lines);
	MUST(list_find(lines, key) == listed);
	found = table_find(lines, key);
	MUST((found == NULL) == (first == NULL));
	if (found && first)
		MUST(!strcmp(found, first) && table_by_domain(lines, key) == found);
	list_by_domain(lines, key);
	if (route_find(&route, lines, key, 25, &line)) {
		MUST(route.port >= 1 && route.port <= 65535);
		MUST(route.explicit_relay == (route.relay.len > 0));
	}
	str_free(&route.relay);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str key = STR_INIT, value = STR_INIT;
	struct list lines = LIST_INIT;
	unsigned long number = 7;
	size_t key_len;

	if (!len)
		return 0;
	if (!file)
		prepare();
	MUST(fchdir(there) == 0);
	key_len = bytes[0] < len - 1 ? bytes[0] : len - 1;
	str_set_bytes(&key, bytes + 1, key_len);
	str_cut(&key, strlen(key.s));
	scratch_fill(file, bytes + 1 + key_len, len - 1 - key_len);
	if (control_line("x", &value) == CONTROL_OK)
		MUST(!str_has_nul(&value) && !memchr(value.s, '\n', value.len));
	if (control_number("x", 1000, &number) == CONTROL_OK)
		MUST(number <= 1000);
	else
		MUST(number == 7);
	if (control_list("x", &lines) == CONTROL_OK)
		lookups(&lines, key.s);
	MUST(fchdir(here) == 0);
	list_free(&lines);
	str_free(&value);
	str_free(&key);
	return 0;
}
