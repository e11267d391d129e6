/*
 * qmail-queued: a qmail-queue that stays. A small message is handed to it as one packet, instead of
 * by pipes to a program of its own, whose start and end would be most of what that costs.
 *
 * It listens on a SOCK_SEQPACKET socket in the abstract name space, whose name follows from which
 * directory the queue is. Everybody may take such a name, so each side looks at who the other one
 *is (SO_PEERCRED of unix(7)): the queue's owner there, qmaild here. Where it isn't there, has too
 *much to do, or is somebody else, the message goes to qmail-queue, as it would without it.
 *
 *	asked		struct queued_head, the message, the envelope as qmail-queue(8) takes it
 *	answered	struct queued_answer
 *
 * No answer means that the message may be in the queue, or not.
 */
#ifndef LIB_QUEUED_H
#define LIB_QUEUED_H

#include "lib/str.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define QUEUED_MESSAGE_MAX 65536
#define QUEUED_ENVELOPE_MAX 16384

struct queued_head {
	uint32_t message; /* bytes of it */
};

struct queued_answer {
	uint32_t code;   /* qmail-queue's exit code */
	uint64_t number; /* by which the logs know the message, as qp */
};

/* The socket's address, and its length, for the queue that the directory is. */
socklen_t queued_address(const struct stat *queue, struct sockaddr_un *address);

enum queued {
	QUEUED_ELSEWHERE, /* nothing has been handed over: another way is to be taken */
	QUEUED_LOST,      /* there was no answer */
	QUEUED_ANSWERED
};

/* The home must be the working directory. */
enum queued queued_put(
    const struct str *message, const struct str *envelope, struct queued_answer *answer);

#endif
