/* The rules for senders and recipients: see policy.h. */
#include "smtpd/policy.h"

#include "lib/addr.h"
#include "lib/cdbfile.h"
#include "lib/control.h"
#include "lib/idn.h"
#include "lib/netip.h"
#include "smtpd/bykey.h"

#include <string.h>

static bool
sender_listed(const struct list *list, const struct str *address)
{
	size_t at = str_rfind(address, '@');

	return list_find(list, address->s) ||
	       (at < address->len && list_find(list, address->s + at));
}

enum verdict
policy_bad_sender(const struct config *config, const struct str *address)
{
	struct list good = LIST_INIT;
	enum verdict bad = VERDICT_YES;

	if (!address->len || !sender_listed(&config->badmailfrom, address))
		return VERDICT_NO;
	if (control_list("goodmailfrom", &good) == CONTROL_ERROR)
		bad = VERDICT_UNKNOWN;
	list_sort(&good);
	if (bad == VERDICT_YES && sender_listed(&good, address))
		bad = VERDICT_NO;
	list_free(&good);
	return bad;
}

static enum verdict
look_up(const char *path, const char *key, size_t len)
{
	switch (cdbfile_get(path, key, len, NULL)) {
	case CDBFILE_FOUND: return VERDICT_YES;
	case CDBFILE_ABSENT: return VERDICT_NO;
	case CDBFILE_ERROR: break;
	}
	return VERDICT_UNKNOWN;
}

/* The domain itself, then .every.parent of it. */
static enum verdict
domain_listed(const struct list *list, const struct str *domain)
{
	const char *name;

	for (name = domain->s; name && *name; name = strchr(name + 1, '.')) {
		enum verdict found;

		if (list_find(list, name))
			return VERDICT_YES;
		found = look_up("control/morercpthosts.cdb", name, strlen(name));
		if (found != VERDICT_NO)
			return found;
	}
	return VERDICT_NO;
}

/* In small letters, and as A-labels where a domain of ours has some: so the lists have it. */
static void
set_as_listed(const struct config *config, struct str *to, const char *domain)
{
	str_set(to, domain);
	if (!idn_is_ascii(domain) && idn_in_list(&config->rcpthosts))
		idn_to_ascii(to, domain);
	str_lower(to);
}

enum verdict
policy_ours(const struct config *config, const struct str *address)
{
	struct str lower = STR_INIT;
	enum verdict ours;
	const char *domain;
	size_t len;

	addr_split(address, &len, &domain);
	if (!domain)
		return VERDICT_YES;
	set_as_listed(config, &lower, domain);
	ours = domain_listed(&config->rcpthosts, &lower);
	str_free(&lower);
	return ours;
}

bool
policy_relay_probe(const struct str *address)
{
	const char *domain;
	size_t len;

	addr_split(address, &len, &domain);
	return memchr(address->s, '!', len) || memchr(address->s, '%', len) ||
	       memchr(address->s, '@', len);
}

enum verdict
policy_exists(const struct str *whole)
{
	switch (bykey_get("control/validrcptto.cdb", whole, NULL)) {
	case BYKEY_NO_TABLE:
	case BYKEY_FOUND: return VERDICT_YES;
	case BYKEY_ABSENT: return VERDICT_NO;
	case BYKEY_ERROR: break;
	}
	return VERDICT_UNKNOWN;
}

void
policy_localip(const struct config *config, struct str *address)
{
	struct netip ip;
	const char *domain;
	size_t len;

	addr_split(address, &len, &domain);
	if (!domain || !config->localiphost.len || !netip_parse_literal(domain, &ip) ||
	    !netip_is_me(&ip))
		return;
	str_cut(address, len + 1);
	str_add_str(address, &config->localiphost);
}
