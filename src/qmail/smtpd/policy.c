/* The rules for senders and recipients: see policy.h. */
#include "smtpd/policy.h"

#include "lib/addr.h"
#include "lib/cdbfile.h"
#include "lib/control.h"
#include "lib/idn.h"
#include "lib/netip.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool
policy_bad_sender(const struct config *config, const struct str *address)
{
	size_t at = str_rfind(address, '@');

	if (!address->len)
		return false;
	return list_find(&config->badmailfrom, address->s) ||
	       (at < address->len && list_find(&config->badmailfrom, address->s + at));
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

/* local is the length of the local part of a whole address in lower case. */
static enum verdict
mailbox_listed(const struct str *address, size_t local)
{
	static const char path[] = "control/validrcptto.cdb";
	enum verdict found = look_up(path, address->s, address->len);
	struct str key = STR_INIT;
	size_t len;

	for (len = local; len > 0 && found == VERDICT_NO; len--) {
		if (address->s[len - 1] != '-')
			continue;
		str_set_bytes(&key, address->s, len);
		str_add_bytes(&key, address->s + local, address->len - local);
		found = look_up(path, key.s, key.len);
	}
	if (found == VERDICT_NO)
		found = look_up(path, address->s + local, address->len - local);
	str_free(&key);
	return found;
}

static bool
have_table(void)
{
	return access("control/validrcptto.cdb", F_OK) == 0 || errno != ENOENT;
}

enum verdict
policy_exists(const struct str *address)
{
	struct str whole = STR_INIT, host = STR_INIT;
	enum verdict found = VERDICT_UNKNOWN;
	size_t local;

	if (!have_table() || str_equal_nocase(address, "postmaster"))
		return VERDICT_YES;
	local = str_rfind(address, '@');
	if (idn_address(&whole, address->s) != IDN_OK)
		str_set_str(&whole, address);
	if (local < address->len) {
		str_lower(&whole);
		found = mailbox_listed(&whole, local);
	} else if (control_line_or_me("envnoathost", &host, "envnoathost") == CONTROL_OK) {
		str_add_char(&whole, '@');
		str_add_str(&whole, &host);
		str_lower(&whole);
		found = mailbox_listed(&whole, local);
	}
	str_free(&whole);
	str_free(&host);
	return found;
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
