/*
 * Asking the signer, a service of the site's that alone has its keys.
 *
 * It listens on a SOCK_SEQPACKET socket (unix(7)). One packet each way, then both close:
 *
 *	asked		"sign" LF, and with it one descriptor (SCM_RIGHTS) that the message can be
 *			read from, at its first byte, with lines ended by LF
 *	answered	see answer.h
 */
#ifndef SIGN_SIGNER_H
#define SIGN_SIGNER_H

#include "lib/str.h"

/*
 * Has the message of fd signed by who listens at path; the offset of fd may be elsewhere
 * afterwards. False: not now, and *why says why. Whoever isn't there is waited for, and so is who
 * leaves without an answer, SIGNER_RETURNS seconds in all: a service that was stopped comes back
 * within seconds. An answer may take SIGNER_ANSWERS.
 */
#define SIGNER_RETURNS 10
#define SIGNER_ANSWERS 30
bool signer_ask(const char *path, int fd, struct str *fields, struct str *why);

#endif
