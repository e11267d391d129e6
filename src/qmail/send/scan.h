/* The queue as it is found at the start; once a day, what dead qmail-queues left. */
#ifndef SEND_SCAN_H
#define SEND_SCAN_H

#include "send/state.h"

/* Looks at some of what is to be gone through, if it is time. */
void scan_step(struct send *s);

#endif
