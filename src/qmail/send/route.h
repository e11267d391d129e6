/*
 * Where a recipient goes: locals, virtualdomains, percenthack and envnoathost, as
 * qmail-send(8) describes them.
 */
#ifndef SEND_ROUTE_H
#define SEND_ROUTE_H

#include "lib/list.h"

enum channel { CHANNEL_LOCAL, CHANNEL_REMOTE, CHANNEL_COUNT };

struct routes {
	struct list locals, virtual, percent; /* sorted */
	struct str no_at_host;
};

/* Reads all of it from control/; NULL, or the name of the file that can't be used (errno). */
const char *routes_load(struct routes *routes);
/* Reads locals and virtualdomains again; on an error everything stays as it was. */
const char *routes_reload(struct routes *routes);

/* Puts the address that is delivered to into to, and says by which channel. */
enum channel route(const struct routes *routes, const char *recipient, struct str *to);

/*
 * The address that senders know: a local recipient without what virtualdomains put before
 * it. to is replaced.
 */
void route_back(const struct routes *routes, const char *recipient, struct str *to);

/*
 * Sender for one recipient: "pre@host-@[]" stands for the variable return path
 * "prelocal=domain@host"; any other sender is taken as it is. to is replaced.
 */
void route_sender(const char *sender, const char *recipient, struct str *to);
/* The address bounces go to: without the "-@[]" of such a sender. */
void route_bounce(const char *sender, struct str *to);

#endif
