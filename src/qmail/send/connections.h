/* The descriptors by which qmail-start connects qmail-send with its helpers. */
#ifndef SEND_CONNECTIONS_H
#define SEND_CONNECTIONS_H

enum {
	CONNECTION_FIRST = 3,
	CONNECTION_TO_LSPAWN = CONNECTION_FIRST,
	CONNECTION_FROM_LSPAWN,
	CONNECTION_TO_RSPAWN,
	CONNECTION_FROM_RSPAWN,
	CONNECTION_TO_CLEAN,
	CONNECTION_FROM_CLEAN,
	CONNECTION_TO_QUEUED, /* nothing is said there: its end is the end of qmail-queued */
	CONNECTION_LAST = CONNECTION_TO_QUEUED
};

#endif
