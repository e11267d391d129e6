/* The control files of qmail-remote: see settings.h. */
#include "remote/settings.h"

#include "lib/control.h"
#include "lib/controls.h"
#include "lib/idn.h"
#include "remote/dns.h"

#include <errno.h>
#include <unistd.h>

/* Fit for the HELO command: a name or an address literal, nothing that ends the word. */
static bool
sayable(const struct str *name)
{
	size_t i;

	for (i = 0; i < name->len; i++)
		if (name->s[i] <= ' ' || name->s[i] > '~')
			return false;
	return name->len > 0 && name->len <= 255;
}

static bool
load_helohost(struct settings *settings)
{
	enum control found = control_line_or_me("helohost", &settings->helohost, NULL);

	if (found == CONTROL_OK && sayable(&settings->helohost))
		return true;
	if (found != CONTROL_ERROR)
		errno = found == CONTROL_OK ? EINVAL : ENOENT;
	return false;
}

static bool
load_seconds(const char *name, unsigned long *seconds)
{
	if (!controls_number(name, seconds))
		return false;
	if (*seconds)
		return true;
	errno = EINVAL;
	return false;
}

static bool
load_from(struct settings *settings)
{
	struct list lines = LIST_INIT;
	bool fine = control_list("outgoingip", &lines) != CONTROL_ERROR;
	size_t i;

	list_index(&lines);
	for (i = 0; i < lines.count && fine; i++) {
		struct netip ip;

		fine = netip_parse(lines.items[i], &ip);
		if (fine) {
			size_t family = netip_is_v4(&ip) ? 0 : 1;

			settings->from[family] = ip;
			settings->has_from[family] = true;
		} else
			errno = EINVAL;
	}
	list_free(&lines);
	return fine;
}

static bool
load_sorted(const char *name, struct list *list)
{
	if (control_list(name, list) == CONTROL_ERROR)
		return false;
	idn_keys(list);
	list_sort(list);
	return true;
}

/* Files that only OpenSSL reads, when it comes to that. */
static bool
there_is(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool
load_tls(struct settings *settings, const char **name)
{
	*name = "notlshosts";
	if (!load_sorted(*name, &settings->notlshosts))
		return false;
	*name = "tlsrequiredhosts";
	if (!load_sorted(*name, &settings->tlsrequiredhosts))
		return false;
	*name = "tlsverifyhosts";
	if (!load_sorted(*name, &settings->tlsverifyhosts))
		return false;
	*name = "clientciphers";
	if (control_line(*name, &settings->clientciphers) == CONTROL_ERROR)
		return false;
	settings->has_clientcert = there_is("control/clientcert.pem");
	settings->has_clientkey = there_is("control/clientkey.pem");
	settings->has_tlsca = there_is("control/tlsca.pem");
	return true;
}

static bool
load_nameservers(struct settings *settings)
{
	bool fine = control_list("nameservers", &settings->nameservers) != CONTROL_ERROR;
	struct netip ip;
	unsigned port;
	size_t i;

	list_index(&settings->nameservers);
	for (i = 0; i < settings->nameservers.count && fine; i++) {
		fine = dns_server_parse(settings->nameservers.items[i], &ip, &port);
		if (!fine)
			errno = EINVAL;
	}
	return fine;
}

static bool
load_outgoingipv6(struct settings *settings)
{
	static const char *const words[] = {
	    [IPV6_YES] = "yes", [IPV6_AUTO] = "auto", [IPV6_NO] = "no"};
	struct str word = STR_INIT;
	enum control found = control_line("outgoingipv6", &word);
	bool fine = found == CONTROL_ABSENT;
	size_t i;

	settings->outgoingipv6 = IPV6_YES;
	for (i = 0; i < sizeof words / sizeof *words && found == CONTROL_OK; i++) {
		if (!str_equal(&word, words[i]))
			continue;
		settings->outgoingipv6 = (enum ipv6)i;
		fine = true;
	}
	if (found == CONTROL_OK && !fine)
		errno = EINVAL;
	str_free(&word);
	return fine;
}

static bool
load_network(struct settings *settings, const char **name)
{
	*name = "outgoingip";
	if (!load_from(settings))
		return false;
	*name = "outgoingipv6";
	if (!load_outgoingipv6(settings))
		return false;
	*name = "nameservers";
	if (!load_nameservers(settings))
		return false;
	*name = "policysocket";
	return control_line(*name, &settings->policysocket) != CONTROL_ERROR;
}

bool
settings_load(struct settings *settings, const char **name)
{
	*settings = (struct settings){.helohost = STR_INIT,
	    .smtproutes = LIST_INIT,
	    .notlshosts = LIST_INIT,
	    .tlsrequiredhosts = LIST_INIT,
	    .tlsverifyhosts = LIST_INIT,
	    .clientciphers = STR_INIT,
	    .nameservers = LIST_INIT,
	    .policysocket = STR_INIT};
	*name = "helohost";
	if (!load_helohost(settings))
		return false;
	*name = "smtproutes";
	if (!load_sorted(*name, &settings->smtproutes))
		return false;
	*name = "timeoutconnect";
	if (!load_seconds(*name, &settings->timeoutconnect))
		return false;
	*name = "timeoutremote";
	if (!load_seconds(*name, &settings->timeoutremote))
		return false;
	*name = "timeoutattempt";
	if (!load_seconds(*name, &settings->timeoutattempt))
		return false;
	*name = "greetingfinal";
	if (!controls_number(*name, &settings->greetingfinal))
		return false;
	return load_network(settings, name) && load_tls(settings, name);
}
