/* The SMTP dialogue with one server (RFC 5321), over a link that is open. */
#ifndef REMOTE_SESSION_H
#define REMOTE_SESSION_H

#include "remote/job.h"
#include "remote/link.h"
#include "remote/security.h"
#include "remote/target.h"

/* The link is open and is left for the caller to close. */
enum session_end session(const struct job *job, const struct target *target,
    const struct security *security, struct link *link);

#endif
