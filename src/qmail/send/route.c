/* Where a recipient goes: see route.h. */
#include "send/route.h"

#include "lib/control.h"
#include "lib/idn.h"
#include "lib/netip.h"

#include <errno.h>
#include <string.h>

#define PREPEND_MAX 256 /* bytes of what virtualdomains puts before an address */
#define VERP_MARK "-@[]"

/* The prefix for this domain (or whole address), NULL where the table has none. */
static const char *
wildcard_prefix(const struct list *virtual, const char *domain)
{
	const char *at, *found;

	found = table_find(virtual, domain);
	if (found)
		return found;
	for (at = strchr(domain, '.'); at; at = strchr(at + 1, '.'))
		if ((found = table_find(virtual, at)))
			return found;
	return table_find(virtual, "");
}

static const char *
virtual_prefix(const struct list *virtual, const char *address, const char *domain)
{
	const char *found;

	if (!virtual->count)
		return NULL;
	found = table_find(virtual, address);
	return found ? found : wildcard_prefix(virtual, domain);
}

static char *
domain_of(const struct str *address)
{
	size_t at = str_rfind(address, '@');

	return address->s + (at < address->len ? at + 1 : at);
}

/* A name or a literal that is this host wherever it is said (RFC 6761 section 6.3). */
static bool
is_this_host(const char *domain)
{
	size_t len = strlen(domain);
	struct netip ip;

	return word_is(domain, len, "localhost") || word_is(domain, len, "localhost.localdomain") ||
	       (netip_parse_literal(domain, &ip) && netip_is_me(&ip));
}

static bool
is_local(const struct routes *routes, const char *address, const char *domain)
{
	const struct list *virtual = &routes->virtual;

	if (list_find(&routes->locals, domain))
		return true;
	return is_this_host(domain) && !table_find(virtual, address) &&
	       !table_find(virtual, domain);
}

/* Our own domains are known by their A-labels; somebody else's stays as it was written. */
static void
spell_as_ours(const struct routes *routes, struct str *to)
{
	struct str ascii = STR_INIT;
	const char *prefix;

	if (!idn_is_ascii(domain_of(to)) &&
	    (idn_in_list(&routes->locals) || idn_in_list(&routes->virtual)) &&
	    idn_address(&ascii, to->s) == IDN_OK) {
		prefix = virtual_prefix(&routes->virtual, ascii.s, domain_of(&ascii));
		if (list_find(&routes->locals, domain_of(&ascii)) || (prefix && *prefix))
			str_set_str(to, &ascii);
	}
	str_free(&ascii);
}

enum channel
route(const struct routes *routes, const char *recipient, struct str *to)
{
	struct str inner = STR_INIT;
	const char *domain, *prefix;

	str_set(to, recipient);
	if (str_find(to, '@') == to->len) {
		str_add_char(to, '@');
		str_add_str(to, &routes->no_at_host);
	}
	domain = domain_of(to);
	while (list_find(&routes->percent, domain)) {
		size_t percent;

		str_set_bytes(&inner, to->s, (size_t)(domain - to->s) - 1);
		percent = str_rfind(&inner, '%');
		if (percent == inner.len)
			break;
		inner.s[percent] = '@';
		str_set_str(to, &inner);
		domain = domain_of(to);
	}
	str_free(&inner);
	spell_as_ours(routes, to);
	domain = domain_of(to);
	if (is_local(routes, to->s, domain))
		return CHANNEL_LOCAL;
	prefix = virtual_prefix(&routes->virtual, to->s, domain);
	if (!prefix || !*prefix)
		return CHANNEL_REMOTE;
	str_set_str(&inner, to);
	str_set(to, prefix);
	str_add_char(to, '-');
	str_add_str(to, &inner);
	str_free(&inner);
	return CHANNEL_LOCAL;
}

void
route_back(const struct routes *routes, const char *recipient, struct str *to)
{
	const char *domain, *dash, *prefix;

	str_set(to, recipient);
	domain = domain_of(to);
	if (is_local(routes, recipient, domain))
		return;
	for (dash = strchr(recipient, '-'); dash; dash = strchr(dash + 1, '-')) {
		size_t len = (size_t)(dash - recipient);

		prefix = virtual_prefix(&routes->virtual, dash + 1, domain);
		if (prefix && strlen(prefix) == len && !memcmp(prefix, recipient, len)) {
			str_set(to, dash + 1);
			return;
		}
	}
}

static bool
is_variable(const char *sender, size_t *len)
{
	size_t total = strlen(sender), mark = strlen(VERP_MARK);

	if (total <= mark || strcmp(sender + total - mark, VERP_MARK))
		return false;
	*len = total - mark;
	return true;
}

void
route_sender(const char *sender, const char *recipient, struct str *to)
{
	const char *at = strrchr(recipient, '@'), *host;
	size_t len;

	str_set(to, sender);
	if (!at || !is_variable(sender, &len))
		return;
	host = memrchr(sender, '@', len);
	if (!host)
		return;
	str_set_bytes(to, sender, (size_t)(host - sender));
	str_add_bytes(to, recipient, (size_t)(at - recipient));
	str_add_char(to, '=');
	str_add(to, at + 1);
	str_add_bytes(to, host, len - (size_t)(host - sender));
}

void
route_bounce(const char *sender, struct str *to)
{
	size_t len;

	str_set(to, sender);
	if (is_variable(sender, &len))
		str_cut(to, len);
}

/* A prefix that no address could carry is a slip that must not lengthen records. */
static bool
prefixes_fit(const struct list *virtual)
{
	size_t i;

	for (i = 0; i < virtual->count; i++) {
		const char *colon = strchr(virtual->items[i], ':');

		if (colon && strlen(colon + 1) > PREPEND_MAX) {
			errno = ENAMETOOLONG;
			return false;
		}
	}
	return true;
}

static void
replace(struct list *old, struct list *fresh)
{
	list_free(old);
	*old = *fresh;
}

const char *
routes_reload(struct routes *routes)
{
	struct list locals = LIST_INIT, virtual = LIST_INIT;
	struct str me = STR_INIT;
	const char *bad = NULL;
	enum control found = control_list("locals", &locals);

	if (found == CONTROL_ABSENT) {
		found = control_line("me", &me);
		if (found == CONTROL_OK)
			list_add(&locals, me.s);
	}
	if (found != CONTROL_OK)
		bad = found == CONTROL_ABSENT ? "control/me" : "control/locals";
	if (!bad && control_list("virtualdomains", &virtual) == CONTROL_ERROR)
		bad = "control/virtualdomains";
	if (!bad) {
		idn_keys(&locals);
		idn_keys(&virtual);
		list_sort(&locals);
		list_sort(&virtual);
		if (!prefixes_fit(&virtual))
			bad = "control/virtualdomains";
	}
	str_free(&me);
	if (bad) {
		list_free(&locals);
		list_free(&virtual);
		return bad;
	}
	replace(&routes->locals, &locals);
	replace(&routes->virtual, &virtual);
	return NULL;
}

const char *
routes_load(struct routes *routes)
{
	if (control_line_or_me("envnoathost", &routes->no_at_host, "envnoathost") != CONTROL_OK)
		return "control/envnoathost";
	if (control_list("percenthack", &routes->percent) == CONTROL_ERROR)
		return "control/percenthack";
	list_sort(&routes->percent);
	return routes_reload(routes);
}
