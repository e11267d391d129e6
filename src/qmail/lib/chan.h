/*
 * A network connection: two descriptors, limits on how long is waited, and the functions that
 * move bytes. What is laid over the descriptors, such as TLS (tls.h), brings its own two, and
 * moves its bytes by chan_read_some and chan_write_some. chan_read and chan_write fit bio.h.
 */
#ifndef LIB_CHAN_H
#define LIB_CHAN_H

#include <stdbool.h>
#include <sys/types.h>

struct tls;

struct chan {
	int in, out;        /* may be the same socket */
	unsigned timeout;   /* seconds for one read or write; ETIMEDOUT after that */
	long long deadline; /* clock_ms() from which on nothing is waited for; 0: none */
	/* What chan_read and chan_write call; NULL: the descriptors themselves. */
	ssize_t (*read)(struct chan *chan, char *buffer, size_t len);
	ssize_t (*write)(struct chan *chan, const char *bytes, size_t len);
	void (*end)(struct chan *chan); /* what chan_end calls; NULL: there is nothing to end */
	struct tls *tls; /* the session that they belong to; NULL while in the clear */
	/* "TLSv1.3" and "TLS_AES_256_GCM_SHA384", as long as there is such a session. */
	const char *protocol, *cipher;
};

ssize_t chan_read(void *chan, char *buffer, size_t len);
ssize_t chan_write(void *chan, const char *bytes, size_t len);

/* The same underneath TLS; a write never waits longer than the limits, whatever its length. */
ssize_t chan_read_some(struct chan *chan, char *buffer, size_t len);
ssize_t chan_write_some(struct chan *chan, const char *bytes, size_t len);

/* Says goodbye for what lies over the descriptors, as far as the peer takes that without waiting,
 * and gives it back: the channel is in the clear again. Harmless where it is already. */
void chan_end(struct chan *chan);

/*
 * Says that nothing more will be written, and throws away what still comes until the peer has
 * ended or the limits are reached: a socket that is closed with something unread takes back
 * what its peer has not read yet, such as our last words. Harmless where chan is no socket.
 */
void chan_linger(const struct chan *chan);

/* Waits until fd of the channel can be read (or written), within both limits; as fd_wait_until
 * (clock.h). */
int chan_wait(const struct chan *chan, int fd, short events);

/* Does nothing for so long; false, at once, where the peer hangs up. */
bool chan_pause(const struct chan *chan, unsigned long seconds);

#endif
