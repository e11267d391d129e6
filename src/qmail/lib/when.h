/* Dates as messages write them, and a clock for limits. */
#ifndef LIB_WHEN_H
#define LIB_WHEN_H

#include "lib/str.h"

#include <time.h>

/* "23 Nov 2026 12:37:21 -0000", in UTC: the form of Received and Date fields here. */
void when_822(struct str *to, time_t when);

/* Milliseconds of a clock that only goes forward. */
long long now_ms(void);

#endif
