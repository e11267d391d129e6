/* The control files of qmail-remote; qmail-remote(8) explains each. */
#ifndef REMOTE_SETTINGS_H
#define REMOTE_SETTINGS_H

#include "lib/list.h"
#include "lib/netip.h"

enum ipv6 {
	IPV6_YES,  /* as DNS has it */
	IPV6_AUTO, /* where the address that this host sends from has a name that leads back */
	IPV6_NO
};

struct settings {
	struct str helohost;
	struct list smtproutes;                                      /* sorted */
	unsigned long timeoutconnect, timeoutremote, timeoutattempt; /* seconds */
	struct netip from[2]; /* own address to connect from: IPv4, IPv6 */
	bool has_from[2];
	struct list notlshosts, tlsrequiredhosts, tlsverifyhosts; /* sorted */
	struct str clientciphers;                                 /* empty: the library's choice */
	bool has_clientcert, has_clientkey, has_tlsca;
	struct list nameservers; /* in their order; dns.h */
	enum ipv6 outgoingipv6;
	struct str policysocket;     /* empty: no MTA-STS */
	unsigned long greetingfinal; /* 1: who greets with a refusal speaks for every exchanger */
};

/* False with errno; *name is then the control file that could not be used. */
bool settings_load(struct settings *settings, const char **name);

#endif
