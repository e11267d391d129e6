/* How a server is to be spoken to: see security.h. */
#include "remote/security.h"

#include "lib/control.h"
#include "remote/bydomain.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define CREDENTIALS "smtproutes_auth"
#define CREDENTIAL_MAX 512 /* bytes of a user name or a password */

/* --- control/smtproutes_auth ---------------------------------------------------------- */

static bool
same_relay(const struct route *a, const struct route *b)
{
	if (a->port != b->port || a->is_address != b->is_address)
		return false;
	return a->is_address ? netip_equal(&a->ip, &b->ip)
			     : str_equal_nocase(&a->relay, b->relay.s);
}

/* "RELAY[:PORT] USER PASSWORD", one blank or tab between; the password may contain more. */
static bool
take_credentials(
    struct security *security, const char *line, const struct route *route, struct str *problem)
{
	size_t relay_len = strcspn(line, " \t"), user_len;
	const char *user = line + relay_len, *password;
	struct route mine = ROUTE_INIT;
	struct str relay = STR_INIT;
	bool fine;

	user += *user != 0;
	user_len = strcspn(user, " \t");
	password = user + user_len + (user[user_len] != 0);
	str_set_bytes(&relay, line, relay_len);
	fine = route_parse(&mine, relay.s, route->port) && mine.explicit_relay && user_len &&
	       *password && user_len <= CREDENTIAL_MAX && strlen(password) <= CREDENTIAL_MAX;
	if (!fine) {
		str_set(problem, "control/" CREDENTIALS ": the line for \"");
		str_add_str(problem, &relay);
		str_add(problem, "\" is not RELAY:PORT USER PASSWORD");
	} else if (!security->authenticate && same_relay(&mine, route)) {
		str_set_bytes(&security->user, user, user_len);
		str_set(&security->password, password);
		security->authenticate = true;
	}
	str_free(&relay);
	str_free(&mine.relay);
	return fine;
}

/* A password that everybody on this host can read, or change, is none. */
static bool protected(struct str *problem, bool *exists)
{
	struct stat about;

	*exists = stat("control/" CREDENTIALS, &about) == 0;
	if (!*exists && errno == ENOENT)
		return true;
	if (!*exists) {
		str_set(problem, "control/" CREDENTIALS ": ");
		str_add(problem, strerror(errno));
		return false;
	}
	if (S_ISREG(about.st_mode) && !(about.st_mode & 027))
		return true;
	str_set(problem, "control/" CREDENTIALS ": its mode must be 0640 or stricter");
	return false;
}

bool
security_credentials(struct security *security, const struct route *route, struct str *problem)
{
	struct list lines = LIST_INIT;
	bool fine = true, exists;
	size_t i;

	if (!route->explicit_relay)
		return true;
	if (!protected(problem, &exists))
		return false;
	if (!exists)
		return true;
	if (control_list(CREDENTIALS, &lines) != CONTROL_OK) {
		str_set(problem, "control/" CREDENTIALS ": ");
		str_add(problem, strerror(errno));
		fine = false;
	}
	list_index(&lines);
	for (i = 0; i < lines.count && fine; i++)
		fine = take_credentials(security, lines.items[i], route, problem);
	if (lines.bytes.len)
		explicit_bzero(lines.bytes.s, lines.bytes.len);
	list_free(&lines);
	return fine;
}

/* --- The level ----------------------------------------------------------------------- */

static void
add_names(struct list *names, const char *text)
{
	struct str name = STR_INIT;

	while (*text) {
		size_t len = strcspn(text, ":");

		str_set_bytes(&name, text, len);
		if (name.len)
			list_add(names, name.s);
		text += len + (text[len] == ':');
	}
	str_free(&name);
}

/* What a destination proves to be when nothing else was said: DNS is not believed. */
static void
add_default_names(struct list *names, const char *host, const struct route *route)
{
	struct str below = STR_INIT, address = STR_INIT;

	if (route->explicit_relay && route->is_address) {
		netip_add(&address, &route->ip);
		list_add(names, address.s);
	} else if (route->explicit_relay)
		list_add(names, route->relay.s);
	else {
		list_add(names, host);
		str_set(&below, ".");
		str_add(&below, host);
		list_add(names, below.s);
	}
	str_free(&below);
	str_free(&address);
}

/* A line with an empty name is every destination, as in control/smtproutes. */
static bool
is_listed(const struct list *list, const char *host, const struct route *route)
{
	const char *key = route->explicit_relay ? route->relay.s : host;

	return table_by_domain(list, key) || table_by_domain(list, host) ||
	       list_by_domain(list, key) || list_by_domain(list, host);
}

static bool
must_verify(struct security *security, const struct settings *settings, const char *host,
    const struct route *route)
{
	const char *key = route->explicit_relay ? route->relay.s : host;
	const char *names = table_by_domain(&settings->tlsverifyhosts, key);

	if (!names && key != host)
		names = table_by_domain(&settings->tlsverifyhosts, host);
	if (names)
		add_names(&security->names, names);
	return security->authenticate || is_listed(&settings->tlsverifyhosts, host, route);
}

static bool
never(const struct settings *settings, const char *host, const struct route *route,
    const struct target *target)
{
	struct str address = STR_INIT;
	bool found;

	netip_add(&address, &target->ip);
	found = list_by_domain(&settings->notlshosts, host) ||
		list_by_domain(&settings->notlshosts, route->relay.s) ||
		list_by_domain(&settings->notlshosts, target->name) ||
		list_find(&settings->notlshosts, address.s);
	str_free(&address);
	return found;
}

/* By its name, or an ending of it. */
static bool
is_named(const struct list *list, const char *host)
{
	const char *line = table_by_domain(list, host);

	return list_by_domain(list, host) || (line && line != table_find(list, ""));
}

static void
by_lists(struct security *security, const struct settings *settings, const char *host,
    const struct route *route, const struct target *target)
{
	if (must_verify(security, settings, host, route)) {
		security->level = SECURITY_VERIFIED;
		if (!security->names.count)
			add_default_names(&security->names, host, route);
	} else if (is_listed(&settings->tlsrequiredhosts, host, route))
		security->level = SECURITY_REQUIRED;
	else if (never(settings, host, route, target))
		security->level = SECURITY_CLEAR;
	else
		security->level = SECURITY_OFFERED;
}

bool
security_decide(struct security *security, const struct settings *settings, const char *host,
    const struct route *route, const struct target *target)
{
	list_free(&security->names);
	security->means = MEANS_NAMES;
	security->dane = NULL;
	security->sts_testing = false;
	security->shows_certificate = route->explicit_relay;
	security->from_first_byte = route->explicit_relay && target->port == SUBMISSIONS_PORT;
	by_lists(security, settings, host, route, target);
	list_index(&security->names);
	return route->explicit_relay || security->level == SECURITY_VERIFIED ||
	       security->level == SECURITY_CLEAR || is_named(&settings->tlsrequiredhosts, host);
}
