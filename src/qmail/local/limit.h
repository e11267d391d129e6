/*
 * A limit on how long a delivery's own work may take. When it is over, a system call that
 * waits ends with EINTR, again every second, and limit_over is true.
 */
#ifndef LOCAL_LIMIT_H
#define LOCAL_LIMIT_H

#include <stdbool.h>
#include <sys/types.h>

void limit_start(unsigned seconds);
bool limit_over(void);
void limit_end(void);

/* For bio.h, context a descriptor: a write that gives up, with ETIMEDOUT, at the limit. */
ssize_t limit_write(void *fd, const char *bytes, size_t len);

#endif
