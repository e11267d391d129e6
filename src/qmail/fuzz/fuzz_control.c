/* Lists and tables of control files, read by way of a file in memory; lines of users/assign. */
#include "fuzz/fuzz.h"

#include "lib/assign.h"
#include "lib/bio.h"
#include "lib/control.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *
file_with(const uint8_t *bytes, size_t len)
{
	static char path[32];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("control", MFD_CLOEXEC);
		MUST(fd >= 0);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	}
	MUST(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	MUST(fd_write_all(fd, bytes, len));
	return path;
}

static void
check_list(struct list *lines)
{
	size_t i;

	list_sort(lines);
	for (i = 0; i < lines->count; i++) {
		const char *item = lines->items[i];

		MUST(*item && *item != '#' && !strchr(item, '\n'));
		MUST(list_find(lines, item));
		table_find(lines, item);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct assignment assignment = ASSIGNMENT_INIT;
	struct list lines = LIST_INIT;

	if (file_list(file_with(bytes, len), &lines) == CONTROL_OK)
		check_list(&lines);
	list_free(&lines);
	if (!assign_parse(&assignment, (const char *)bytes, len))
		MUST(assignment.uid && assignment.home[0] == '/' && *assignment.user);
	assignment_free(&assignment);
	return 0;
}
