/* A name, a newline, and a database of log-ins; and the whole as what such a database has. */
#include "logins.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_sound(const struct login *login)
{
	if (!*login->mailbox || strpbrk(login->mailbox, "/: \n") || !login->uid || !login->gid ||
	    login->home[0] != '/' || login->until < 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct login login;
	char name[300] = "";
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t length = newline ? (size_t)(newline - data) : 0;
	int fd = memfd_create("logins", MFD_CLOEXEC);

	if (logins_parse((const char *)data, size, &login))
		must_be_sound(&login);
	if (length >= sizeof name)
		length = sizeof name - 1;
	memcpy(name, data, length);
	if (newline)
		newline++;
	if (fd < 0 || (newline && write(fd, newline, size - (size_t)(newline - data)) < 0))
		abort();
	if (logins_find(fd, name, &login) == LOGINS_FOUND)
		must_be_sound(&login);
	close(fd);
	return 0;
}
