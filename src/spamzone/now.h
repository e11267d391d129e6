/* The time, for limits: milliseconds of a clock that nobody sets. */
#ifndef NOW_H
#define NOW_H

#include <time.h>

static inline long long
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

#endif
