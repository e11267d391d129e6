/* A list of filters: see list.h. */
#include "list.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 4096 }; /* bytes that are looked at; a longer list is its program's matter */

/* Blanks, ends of lines, and comments of printable ASCII are all there is. */
static bool
says_nothing(const char *text, size_t length)
{
	bool comment = false;
	size_t i;

	for (i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)text[i];

		if (c == '\n')
			comment = false;
		else if (c == '#')
			comment = true;
		else if (c != ' ' && c != '\t' && !(comment && c > ' ' && c < 0x7f))
			return false;
	}
	return true;
}

bool
filters_none(const char *path)
{
	char text[MOST];
	struct stat status;
	ssize_t length = -1;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    (status.st_uid == 0 || status.st_uid == geteuid()) && !(status.st_mode & 022) &&
	    status.st_size < MOST)
		length = read(fd, text, sizeof text);
	close(fd);
	return length >= 0 && length < MOST && says_nothing(text, (size_t)length);
}
