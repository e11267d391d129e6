/* New messages: todo, from S4 to S5. */
#ifndef SEND_INTAKE_H
#define SEND_INTAKE_H

#include "send/state.h"

/* Takes a batch in, if anything new may be there. */
void intake_step(struct send *s);

#endif
