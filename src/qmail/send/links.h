/* The descriptors by which qmail-start connects qmail-send with its helpers. */
#ifndef SEND_LINKS_H
#define SEND_LINKS_H

enum {
	LINK_FIRST = 3,
	LINK_TO_LSPAWN = LINK_FIRST,
	LINK_FROM_LSPAWN,
	LINK_TO_RSPAWN,
	LINK_FROM_RSPAWN,
	LINK_TO_CLEAN,
	LINK_FROM_CLEAN,
	LINK_LAST = LINK_FROM_CLEAN
};

#endif
