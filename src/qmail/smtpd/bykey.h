/*
 * Tables by address: validrcptto.cdb, users/recipients.cdb, users/senders.cdb. Their keys are in
 * small letters, a domain as its A-labels:
 *
 *	local@domain		this address
 *	local-@domain		its extensions: local-anything
 *	local+@domain		local+anything
 *	@domain			every address of the domain
 *
 * looked for in the order in which they get wider, a longer local part before a shorter one.
 */
#ifndef SMTPD_BYKEY_H
#define SMTPD_BYKEY_H

#include "lib/cdbfile.h"

enum bykey { BYKEY_ERROR, BYKEY_NO_TABLE, BYKEY_ABSENT, BYKEY_FOUND };

/*
 * Sets whole to the address as the tables have it; one without a domain is in envnoathost. False:
 * control/envnoathost can't be read.
 */
bool bykey_whole(struct str *whole, const struct str *address);

/* What the first key has for a whole address; value may be NULL. */
enum bykey bykey_get(const char *path, const struct str *whole, struct str *value);

/*
 * Whether word is among the items (each with its NUL) of any key, or of the key *. An item may have
 * a last day (lib/items.h) behind a blank.
 */
enum bykey bykey_has(const char *path, const struct str *whole, const char *word);

#endif
