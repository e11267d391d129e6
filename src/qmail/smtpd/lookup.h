/*
 * What the DNS says of a client: asked by UDP from the session's own process, of the resolvers in
 * control/nameservers or else in /etc/resolv.conf. Nobody but the client waits, and that for
 * LOOKUP_SECONDS in all for one of these.
 */
#ifndef SMTPD_LOOKUP_H
#define SMTPD_LOOKUP_H

#include "lib/str.h"

#define LOOKUP_SECONDS 8

enum lookup {
	LOOKUP_YES,
	LOOKUP_NO,
	LOOKUP_UNKNOWN /* no answer that could be used: nobody is to suffer for it */
};

/* The name has an address or a mail exchanger. */
enum lookup lookup_host(const char *name);

/* The address has a name that has this address: RFC 1912 section 2.1. *name is the first of them.
 */
enum lookup lookup_reverse(const char *ip, struct str *name);

#endif
