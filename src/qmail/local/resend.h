/* Queueing the message again, for other recipients. */
#ifndef LOCAL_RESEND_H
#define LOCAL_RESEND_H

#include "lib/list.h"
#include "local/message.h"
#include "local/outcome.h"

/*
 * Queues what is left of the message once for all recipients, with line (Delivered-To) in
 * front of it. *id is then the queueing program's process id; a failure is reported. The
 * working directory is the suite's home afterwards.
 *
 * own: what is sent is this site's own, and signed as such; what is only passed on keeps the
 * signature that it has.
 */
enum outcome resend(const char *line, struct message *message, const char *sender,
    struct list *recipients, bool own, unsigned long *id);

#endif
