/* The SMTP dialogue with one server (RFC 5321), over a connection that is open. */
#ifndef REMOTE_SESSION_H
#define REMOTE_SESSION_H

#include "remote/connection.h"
#include "remote/job.h"
#include "remote/security.h"
#include "remote/target.h"

/* The connection is open and is left for the caller to close. */
enum session_end session(const struct job *job, const struct target *target,
    const struct security *security, struct connection *connection);

#endif
