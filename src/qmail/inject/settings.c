/* Control files and environment of qmail-inject: see settings.h. */
#include "inject/settings.h"

#include "lib/addr.h"
#include "lib/control.h"

#include <stdlib.h>
#include <string.h>

/* The first of the variables that is set and not empty; or fallback. */
static const char *
first_set(const char *const names[], const char *fallback)
{
	for (; *names; names++) {
		const char *value = getenv(*names);

		if (value && *value)
			return value;
	}
	return fallback;
}

/* A variable overrides a control file, control/me stands in for it, then its own name. */
static bool
load_name(struct str *value, const char *variable, const char *name)
{
	const char *given = getenv(variable);

	if (given) {
		str_set(value, given);
		return true;
	}
	return control_line_or_me(name, value, name) == CONTROL_OK;
}

static void
load_letters(struct settings *settings)
{
	const char *letter = getenv("QMAILINJECT");

	for (; letter && *letter; letter++) {
		switch (*letter) {
		case 'c': settings->comment_style = true; break;
		case 'f': settings->ignore_from = true; break;
		case 'i': settings->ignore_message_id = true; break;
		case 'm': settings->verp_message = true; break;
		case 'r': settings->verp_recipient = true; break;
		case 's': settings->ignore_return_path = true; break;
		default: break;
		}
	}
}

static void
set_address(struct str *to, const char *user, const char *host, const struct rewrite_rules *rules)
{
	str_set(to, user);
	if (*host) {
		str_add_char(to, '@');
		rewrite_host(to, host, strlen(host), rules);
	}
	str_replace(to, '\n', '_');
}

static void
load_addresses(struct settings *settings)
{
	static const char *const users[] = {"QMAILUSER", "MAILUSER", "USER", "LOGNAME", NULL};
	static const char *const hosts[] = {"QMAILHOST", "MAILHOST", NULL};
	static const char *const names[] = {"QMAILNAME", "MAILNAME", "NAME", NULL};
	static const char *const sender_user[] = {"QMAILSUSER", NULL};
	static const char *const sender_host[] = {"QMAILSHOST", NULL};
	const char *user = first_set(users, "anonymous");
	const char *host = first_set(hosts, settings->rules.default_host.s);

	set_address(&settings->author, user, host, &settings->rules);
	set_address(&settings->sender, first_set(sender_user, user), first_set(sender_host, host),
	    &settings->rules);
	settings->name = first_set(names, NULL);
}

const char *
settings_load(struct settings *settings)
{
	if (!load_name(&settings->rules.default_domain, "QMAILDEFAULTDOMAIN", "defaultdomain"))
		return "defaultdomain";
	if (!load_name(&settings->rules.default_host, "QMAILDEFAULTHOST", "defaulthost"))
		return "defaulthost";
	if (!load_name(&settings->rules.plus_domain, "QMAILPLUSDOMAIN", "plusdomain"))
		return "plusdomain";
	if (!load_name(&settings->id_host, "QMAILIDHOST", "idhost"))
		return "idhost";
	if (control_line("me", &settings->me) == CONTROL_ERROR)
		return "me";
	load_letters(settings);
	load_addresses(settings);
	return NULL;
}

void
settings_add_stamp(struct str *to, time_t when, unsigned long pid)
{
	struct tm utc;

	if (!gmtime_r(&when, &utc))
		utc = (struct tm){.tm_mday = 1, .tm_year = 70};
	str_addf(to, "%d%02d%02d%02d%02d%02d.%lu", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
	    utc.tm_hour, utc.tm_min, utc.tm_sec, pid);
}

void
settings_apply_verp(struct settings *settings, time_t when, unsigned long pid)
{
	struct str sender = STR_INIT;
	const char *host;
	size_t len;

	if (!settings->verp_message && !settings->verp_recipient)
		return;
	addr_split(&settings->sender, &len, &host);
	if (!host)
		return;
	str_set_bytes(&sender, settings->sender.s, len);
	str_add_char(&sender, '-');
	if (settings->verp_message)
		settings_add_stamp(&sender, when, pid);
	if (settings->verp_message && settings->verp_recipient)
		str_add_char(&sender, '-');
	str_addf(&sender, "@%s%s", host, settings->verp_recipient ? "-@[]" : "");
	str_set_str(&settings->sender, &sender);
	str_free(&sender);
}

/* The name with every byte of special behind a backslash, on one line. */
static void
add_escaped(struct str *to, const char *name, const char *special)
{
	for (; *name; name++) {
		if (strchr(special, *name))
			str_add_char(to, '\\');
		str_add_char(to, *name == '\n' || *name == '\r' ? ' ' : *name);
	}
}

static bool
needs_quotes(const char *name)
{
	return strpbrk(name, "\"\\()<>[]:;@,.\t\r\n") != NULL;
}

void
settings_add_author(struct str *to, const struct settings *settings)
{
	if (!settings->name) {
		addr_quote(to, &settings->author);
		return;
	}
	if (settings->comment_style) {
		addr_quote(to, &settings->author);
		str_add(to, " (");
		add_escaped(to, settings->name, "()\\");
		str_add_char(to, ')');
		return;
	}
	if (needs_quotes(settings->name)) {
		str_add_char(to, '"');
		add_escaped(to, settings->name, "\"\\");
		str_add_char(to, '"');
	} else {
		str_add(to, settings->name);
	}
	str_add(to, " <");
	addr_quote(to, &settings->author);
	str_add_char(to, '>');
}
