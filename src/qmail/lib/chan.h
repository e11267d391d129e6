/*
 * A network connection: two descriptors, a limit on how long one read or write may take,
 * and TLS once it has been switched on. chan_read and chan_write fit bio.h.
 */
#ifndef LIB_CHAN_H
#define LIB_CHAN_H

#include <sys/types.h>

struct tls;

struct chan {
	int in, out;      /* may be the same socket */
	unsigned timeout; /* seconds for one read or write; ETIMEDOUT after that */
	struct tls *tls;  /* NULL while in the clear */
};

ssize_t chan_read(void *chan, char *buffer, size_t len);
ssize_t chan_write(void *chan, const char *bytes, size_t len);

/* Waits until fd can be read (or written): 1, or -1 with errno (ETIMEDOUT after seconds). */
int fd_wait(int fd, short events, unsigned seconds);

#endif
