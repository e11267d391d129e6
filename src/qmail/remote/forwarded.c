/* Senders of forwarded mail: see forwarded.h. */
#include "remote/forwarded.h"

#include "lib/addr.h"
#include "lib/cdbfile.h"
#include "lib/control.h"
#include "lib/idn.h"
#include "lib/srs.h"
#include "remote/bydomain.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400
#define LINES 512 /* bytes that hold the first line, and the name of the second */

/* Moves *at behind a text that is there; false for any other. */
static bool
passed(const char **at, const char *end, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(end - *at) < len || memcmp(*at, text, len))
		return false;
	*at += len;
	return true;
}

static bool
passed_number(const char **at, const char *end)
{
	const char *begin = *at;

	while (*at < end && **at >= '0' && **at <= '9')
		(*at)++;
	return *at > begin;
}

/* Received: (qmail N invoked by uid N); ..., or by alias, as qmail-queue writes it. */
bool
forwarded_begins(const char *bytes, size_t len)
{
	const char *at = bytes, *end = bytes + len, *stop;

	if (!passed(&at, end, "Received: (qmail ") || !passed_number(&at, end) ||
	    !passed(&at, end, " invoked by "))
		return false;
	if (!passed(&at, end, "alias); ") &&
	    !(passed(&at, end, "uid ") && passed_number(&at, end) && passed(&at, end, "); ")))
		return false;
	stop = memchr(at, '\n', (size_t)(end - at));
	if (!stop)
		return false;
	at = stop + 1;
	return passed(&at, end, "Delivered-To: ");
}

static bool
was_sent_on(void)
{
	char bytes[LINES];
	off_t start = lseek(0, 0, SEEK_CUR);
	ssize_t got = start < 0 ? -1 : pread(0, bytes, sizeof bytes, start);

	return got > 0 && forwarded_begins(bytes, (size_t)got);
}

/* rcpthosts and morercpthosts.cdb, and .every.parent. False: they can't be read. */
static bool
look_up_ours(const char *domain, bool *ours)
{
	struct list hosts = LIST_INIT;
	struct str lower = STR_INIT;
	enum cdbfile found = CDBFILE_ABSENT;
	bool readable = control_list("rcpthosts", &hosts) != CONTROL_ERROR;
	const char *key;

	idn_keys(&hosts);
	list_sort(&hosts);
	if (idn_to_ascii(&lower, domain) != IDN_OK)
		str_set(&lower, domain);
	str_lower(&lower);
	*ours = list_by_domain(&hosts, lower.s);
	for (key = lower.s; key && *key && !*ours && found == CDBFILE_ABSENT;
	     key = strchr(key + 1, '.'))
		found = cdbfile_get("control/morercpthosts.cdb", key, strlen(key), NULL);
	*ours = *ours || found == CDBFILE_FOUND;
	list_free(&hosts);
	str_free(&lower);
	return readable && found != CDBFILE_ERROR;
}

/* Only where all else is so. */
static bool
rewrite(struct str *sender, const struct str *given, const char *domain, const char **name)
{
	struct list keys = LIST_INIT;
	struct str made = STR_INIT;
	bool usable;

	*name = "srskey";
	usable = srs_keys(&keys, "srskey");
	if (usable && srs_forward(&made, given, domain, &keys, (long)(time(NULL) / DAY)))
		str_set_str(sender, &made);
	list_free(&keys);
	str_free(&made);
	return usable;
}

static bool
decide(struct str *sender, const struct str *given, const struct str *srs, const char *host,
    const char **name)
{
	const char *domain;
	bool ours;
	size_t len;

	addr_split(given, &len, &domain);
	if (!domain || !*domain || !len || str_equal_nocase(srs, domain) || !was_sent_on())
		return true;
	*name = "rcpthosts";
	if (!look_up_ours(domain, &ours))
		return false;
	if (!ours && !look_up_ours(host, &ours))
		return false;
	return ours || rewrite(sender, given, srs->s, name);
}

bool
forwarded_sender(struct str *sender, const char *given, const char *host, const char **name)
{
	struct str srs = STR_INIT, whole = STR_INIT;
	enum control found;
	bool done = true;

	str_set(sender, given);
	if (!*given || !strcmp(given, "#@[]"))
		return true;
	*name = "srsdomain";
	errno = EINVAL;
	found = control_line("srsdomain", &srs);
	if (found == CONTROL_ERROR)
		done = false;
	if (found == CONTROL_OK && srs.len) {
		/* As its A-labels, which need no SMTPUTF8. */
		if (idn_address(&whole, given) != IDN_OK)
			str_set(&whole, given);
		done = decide(sender, &whole, &srs, host, name);
	}
	str_free(&srs);
	str_free(&whole);
	return done;
}
