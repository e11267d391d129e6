/*
 * A message that is kept until it has been signed: in memory, and from SPOOL_MEMORY bytes on in a
 * file without a name in /var/tmp, so that many large ones at a time don't use up a host's memory.
 *
 * It is kept as it is to stay (remote/encode.h): what nobody can send as it came is changed before
 * it is signed, and not behind that.
 */
#ifndef SIGN_SPOOL_H
#define SIGN_SPOOL_H

#include "lib/str.h"
#include "remote/encode.h"

#include <sys/types.h>

#define SPOOL_MEMORY 1048576

struct spool {
	int fd; /* its offset is at the message's first byte */
	off_t len;
	bool on_disk;
	struct encoder encoder;
	struct str part;
};

/* False, with errno, where the memory or the file can't be had or written. */
bool spool_open(struct spool *spool);
/* The next bytes, as they are to stay; or as they are. Either for the whole of it. */
bool spool_add(struct spool *spool, const char *bytes, size_t len);
bool spool_add_raw(struct spool *spool, const char *bytes, size_t len);
/* It is complete; in memory nobody can change it from here on. */
bool spool_end(struct spool *spool);
void spool_close(struct spool *spool);

/* Reads some bytes from a place on, without moving the offset: as pread(2). */
ssize_t spool_read(const struct spool *spool, char *buffer, size_t len, off_t at);

#endif
