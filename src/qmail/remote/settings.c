/* The control files of qmail-remote: see settings.h. */
#include "remote/settings.h"

#include "lib/control.h"
#include "lib/controls.h"

#include <errno.h>

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

bool
settings_load(struct settings *settings, const char **name)
{
	*settings = (struct settings){.helohost = STR_INIT, .smtproutes = LIST_INIT};
	*name = "helohost";
	if (!load_helohost(settings))
		return false;
	*name = "smtproutes";
	if (control_list(*name, &settings->smtproutes) == CONTROL_ERROR)
		return false;
	list_sort(&settings->smtproutes);
	*name = "timeoutconnect";
	if (!load_seconds(*name, &settings->timeoutconnect))
		return false;
	*name = "timeoutremote";
	if (!load_seconds(*name, &settings->timeoutremote))
		return false;
	*name = "timeoutattempt";
	if (!load_seconds(*name, &settings->timeoutattempt))
		return false;
	*name = "outgoingip";
	return load_from(settings);
}
