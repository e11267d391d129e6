/* The clock: see clock.h. */
#include "lib/clock.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#define DAY 86400000 /* milliseconds; poll takes an int */

long long
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

long long
clock_after(unsigned long seconds)
{
	return clock_ms() + (long long)seconds * 1000;
}

int
fd_wait_until(int fd, short events, long long until)
{
	for (;;) {
		struct pollfd wait = {.fd = fd, .events = events};
		long long left = until - clock_ms();
		int ready = poll(&wait, 1, left > 0 ? (int)(left > DAY ? DAY : left) : 0);

		if (ready > 0)
			return 1;
		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready == 0 && clock_ms() >= until) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
}

int
fd_wait(int fd, short events, unsigned seconds)
{
	return fd_wait_until(fd, events, clock_after(seconds));
}
