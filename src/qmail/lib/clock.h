/* The clock that only goes forward, in milliseconds, and waiting by it. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

/* Milliseconds since some moment in the past. */
long long clock_ms(void);

/* clock_ms() as it will be so many seconds from now. */
long long clock_after(unsigned long seconds);

/*
 * Wait until one of the poll(2) events has come for fd: 1, or -1 with errno, which is ETIMEDOUT
 * when the clock has reached until, or the seconds are over.
 */
int fd_wait_until(int fd, short events, long long until);
int fd_wait(int fd, short events, unsigned seconds);

#endif
