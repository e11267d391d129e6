/* Whom mail is accepted from, and for: the rules of the control files, address by address. */
#ifndef SMTPD_POLICY_H
#define SMTPD_POLICY_H

#include "smtpd/config.h"

enum verdict { VERDICT_YES, VERDICT_NO, VERDICT_UNKNOWN /* a file can't be read */ };

/* badmailfrom has the address, or @ and its domain, and goodmailfrom has neither. */
enum verdict policy_bad_sender(const struct config *config, const struct str *address);

/* rcpthosts and morercpthosts.cdb; an address without a domain is always ours. */
enum verdict policy_ours(const struct config *config, const struct str *address);

/* A local part that asks another host to send on: !, %, or a further @. */
bool policy_relay_probe(const struct str *address);

/* validrcptto.cdb: is there a mailbox for the whole address (bykey.h)? YES where there is no file.
 */
enum verdict policy_exists(const struct str *whole);

/* Replaces [address] of this host in the domain by localiphost, unless that is empty. */
void policy_localip(const struct config *config, struct str *address);

#endif
