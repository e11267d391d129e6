/*
 * TLS by qmail-tlsd, for a program that has no TLS of its own. In two steps, since a client must be
 * answered in between:
 *
 *	fd = tlsclient_open(path, &error);           a process for this session is there
 *	if (fd < 0) ...                              "454 TLS not available": error says why
 *	...                                          "220 ready"; forget what was read ahead
 *	if (!tlsclient_start(fd, ms, &tls, &error))  handshake; 0 and 1 are the client's
 *
 * After that 0 and 1 are a socket on which the session goes on in the clear; qmail-tlsd carries it
 * to the client, and nothing here reads from the client itself any more. Who ends, ends as on a
 * connection: what was written before the last close or shutdown still arrives, and TLS is ended
 * behind it.
 *
 * The conversation, on a SOCK_SEQPACKET socket of AF_UNIX: qmail-tlsd says "ready"; the program
 * sends "tls MILLISECONDS" with two descriptors (SCM_RIGHTS), the client's socket and the one to
 * carry to; the answer is "yes PROTOCOL CIPHER", or "no REASON". A connection that is closed
 *without a word was not wanted.
 */
#ifndef LIB_TLSCLIENT_H
#define LIB_TLSCLIENT_H

#include "lib/str.h"

#define TLSCLIENT_MESSAGE_MAX 400

struct tlsclient {
	char protocol[32], cipher[96]; /* "TLSv1.3" and "TLS_AES_256_GCM_SHA384" */
};

/* A descriptor for tlsclient_start, or -1. It waits ten seconds at most. */
int tlsclient_open(const char *path, struct str *error);

/* Closes fd. False: the channel is of no further use, and error says why ("TLS handshake timed out"
 * ...). */
bool tlsclient_start(int fd, long long milliseconds, struct tlsclient *tls, struct str *error);

#endif
