/* Dates as messages write them. */
#ifndef LIB_WHEN_H
#define LIB_WHEN_H

#include "lib/str.h"

#include <time.h>

/* "23 Nov 2026 12:37:21 -0000", in UTC: the form of Received and Date fields here. */
void when_822(struct str *to, time_t when);

#endif
