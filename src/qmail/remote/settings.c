/* The control files of qmail-remote: see settings.h. */
#include "remote/settings.h"

#include "lib/control.h"
#include "lib/controls.h"
#include "lib/idn.h"

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

bool
settings_load(struct settings *settings, const char **name)
{
	*settings = (struct settings){.helohost = STR_INIT,
	    .smtproutes = LIST_INIT,
	    .notlshosts = LIST_INIT,
	    .tlsrequiredhosts = LIST_INIT,
	    .tlsverifyhosts = LIST_INIT,
	    .clientciphers = STR_INIT};
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
	*name = "outgoingip";
	return load_from(settings) && load_tls(settings, name);
}
