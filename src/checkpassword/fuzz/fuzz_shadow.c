/* A user's name, a newline, and a password database. */
#include "shadow.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TODAY = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct shadow_answer first, second;
	char user[64] = "";
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t length = newline ? (size_t)(newline - data) : 0;
	int fd = memfd_create("shadow", MFD_CLOEXEC);

	if (length >= sizeof user)
		length = sizeof user - 1;
	memcpy(user, data, length);
	if (newline)
		newline++;
	if (fd < 0 || (newline && write(fd, newline, size - (size_t)(newline - data)) < 0) ||
	    lseek(fd, 0, SEEK_SET) < 0 || !shadow_find(fd, user, "smtp", TODAY, &first) ||
	    lseek(fd, 0, SEEK_SET) < 0 || !shadow_find(fd, user, "smtp", TODAY, &second))
		abort();
	close(fd);
	if (first.count < 1 || first.count > SHADOW_PASSWORDS_MAX || first.count != second.count)
		abort();
	for (size_t i = 0; i < first.count; i++) {
		const struct shadow_password *password = &first.passwords[i];

		/* Usable means known, and a hash of its own that crypt can work with. */
		if (password->usable &&
		    (!first.known || strncmp(password->owner, user, strlen(user)) != 0 ||
			!strchr("/", password->owner[strlen(user)]) ||
			!shadow_hash_usable(password->hash)))
			abort();
		/* Any hash given out is a usable one, and the choice is the same each time. */
		if (*password->hash && !shadow_hash_usable(password->hash))
			abort();
		if (strcmp(password->hash, second.passwords[i].hash) != 0 ||
		    password->usable != second.passwords[i].usable)
			abort();
	}
	return 0;
}
