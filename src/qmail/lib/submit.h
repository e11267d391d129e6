/*
 * Handing a message to qmail-queue, or to the program that QMAILQUEUE names: the message on
 * its descriptor 0, the envelope on 1, a reason back on 6, an exit code.
 *
 *	struct submission s;
 *	if (!submit_open(&s)) ...            the program could not be started
 *	submit_bytes(&s, ...);               header and body, lines ended by LF
 *	submit_sender(&s, "a@b");            once; no submit_bytes after it
 *	submit_recipient(&s, "c@d");         at least once
 *	submit_close(&s, &result);           or submit_abandon(&s): nothing is queued
 *
 * The home must be the working directory, and SIGPIPE ignored.
 */
#ifndef LIB_SUBMIT_H
#define LIB_SUBMIT_H

#include "lib/bio.h"

#include <sys/types.h>

struct submission {
	pid_t pid;
	int message, envelope, reason;
	struct out out;
	char buffer[8192];
	bool failed;          /* something is missing: the envelope must not be completed */
	unsigned long number; /* as submit_id; 0: none has been said */
};

enum submit_class { SUBMIT_ACCEPTED, SUBMIT_REFUSED, SUBMIT_TRY_LATER };

struct submit_result {
	enum submit_class class;
	int code;       /* exit code of the program; -1 where it did not exit by itself */
	char text[512]; /* one printable line, with an enhanced status "(#5.3.0)" at its end */
};

/* False: no pipe or no process could be had (errno); nothing to close. */
bool submit_open(struct submission *s);
/* The same with this program instead of QMAILQUEUE's; NULL or "" is qmail-queue itself. */
bool submit_open_to(struct submission *s, const char *program);
/*
 * The same for a message that originates here: by qmail-sign(8), which signs it and then becomes
 * program, where the site signs (signing.h). False, too, where that can't be known.
 */
bool submit_open_own(struct submission *s, const char *program);
/* What the logs have for the message, as qp: the process id of the queueing program or, once that
 * has said so behind a K on descriptor 6 and ended with 0, another number. */
unsigned long submit_id(const struct submission *s);
void submit_bytes(struct submission *s, const void *bytes, size_t len);
void submit_text(struct submission *s, const char *text);
/* From now on the envelope can't be completed; submit_close says "try later". */
void submit_fail(struct submission *s);
void submit_sender(struct submission *s, const char *sender);
void submit_recipient(struct submission *s, const char *recipient);
void submit_close(struct submission *s, struct submit_result *result);
void submit_abandon(struct submission *s);

/* The outcome for an exit code and a reason (may be empty): qmail-queue(8). */
void submit_explain(int code, const char *reason, size_t reason_len, struct submit_result *result);

#endif
