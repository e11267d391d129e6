/* Messages without recipients: their bounces and their end, from S5 to S1. */
#ifndef SEND_ENDING_H
#define SEND_ENDING_H

#include "send/state.h"

/* Ends what is due. */
void ending_step(struct send *s);
/* A bounce job's descriptor can be read. */
void ending_bounced(struct send *s, struct bounce_job *job);
/* Something is to be ended now. */
bool ending_due(const struct send *s);
/* A bounce is under way. */
bool ending_busy(const struct send *s);

#endif
