/*
 * One message on its way from the session to the queue: see lib/submit.h, whose functions these
 * stand for.
 *
 * A message that no program is to see is kept here as long as it is small, and goes to qmail-queued
 * when it is complete. A larger one, or where that is not to be had, has a qmail-queue of its own.
 */
#ifndef SMTPD_HANDIN_H
#define SMTPD_HANDIN_H

#include "lib/submit.h"

struct handin {
	struct submission queue;
	bool open;   /* the submission is */
	bool failed; /* nothing is to be queued */
	struct str held;
	unsigned long number; /* that the logs have for it, once it is closed */
};

/* program: as for submit_open_to; own: as for submit_open_own. False: it can't be started; nothing
 * to close. */
bool handin_open(struct handin *h, const char *program, bool own);
void handin_bytes(struct handin *h, const void *bytes, size_t len);
void handin_fail(struct handin *h);
/* recipients: each with its NUL. */
void handin_close(struct handin *h, const struct str *sender, const struct str *recipients,
    struct submit_result *result);
void handin_abandon(struct handin *h);

#endif
