/*
 * Making a message's header complete, qmail-header(5): a function from header and settings
 * to header, recipients and sender, without input or output.
 */
#ifndef INJECT_COMPOSE_H
#define INJECT_COMPOSE_H

#include "inject/settings.h"

#include <time.h>

struct composition {
	const struct settings *settings;
	bool use_header;          /* its recipients count, so they must be understood */
	const struct list *lists; /* sorted addresses that ask for Mail-Followup-To; or NULL */
	time_t when;
	unsigned long pid;
	/* What comes out; the caller initialises these with STR_INIT and LIST_INIT. */
	struct str header;       /* complete, without the blank line at its end */
	struct list recipients;  /* of To, Cc, Bcc and Apparently-To, or of their Resent- kin */
	struct list return_path; /* its addresses: the sender is the first, "" for <> */
	struct str bad_line;     /* on failure: the field that is no address list */
};

/* False: a field whose addresses count is no address list. */
bool compose(struct composition *c, const char *header, size_t len);

#endif
