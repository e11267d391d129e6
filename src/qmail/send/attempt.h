/* Passes over the recipients of messages that are due, deliveries, their reports. */
#ifndef SEND_ATTEMPT_H
#define SEND_ATTEMPT_H

#include "send/state.h"

/* Starts what is due and has its turn, as far as there are slots. */
void attempt_start(struct send *s, enum channel channel);
/* The channel's spawner has something to say. */
void attempt_reports(struct send *s, enum channel channel);

#endif
