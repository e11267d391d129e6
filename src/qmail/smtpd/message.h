/* DATA: from the client's lines to the queue. */
#ifndef SMTPD_MESSAGE_H
#define SMTPD_MESSAGE_H

#include "smtpd/session.h"

/* Receives the message of the present transaction, queues it, and replies; the
 * transaction is over then. */
void message_receive(struct session *s);

#endif
