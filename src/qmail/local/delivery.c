/* What one run of qmail-local knows: see delivery.h. */
#include "local/delivery.h"

#include "lib/addr.h"
#include "lib/mem.h"

#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* asctime's form in UTC, whatever the locale. */
static void
add_mbox_date(struct str *to, time_t when)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm utc;

	if (!gmtime_r(&when, &utc))
		utc = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
	str_addf(to, "%s %s %2d %02d:%02d:%02d %d", days[utc.tm_wday], months[utc.tm_mon],
	    utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, utc.tm_year + 1900);
}

static void
set_from_line(struct str *line, const char *sender)
{
	str_set(line, *sender ? sender : "MAILER-DAEMON");
	str_replace(line, ' ', '-');
	str_replace(line, '\t', '-');
	str_replace(line, '\n', '-');
	str_replace(line, '\r', '-');
}

void
delivery_extend(struct delivery *d, const char *dash, const char *ext)
{
	d->whole = !*dash;
	if (d->whole && *ext == '-') {
		dash = "-";
		ext++;
	}
	d->dash = dash;
	d->ext = ext;
}

void
delivery_prepare(struct delivery *d)
{
	struct str text = STR_INIT;

	str_addf(&d->recipient, "%s@%s", d->local, d->domain);
	str_set(&d->new_sender, d->sender);

	/* A line break in an address must not start another header line. */
	str_set_str(&text, &d->recipient);
	str_replace(&text, '\n', '_');
	str_addf(&d->delivered_to, "Delivered-To: %s\n", text.s);

	str_add(&d->return_path, "Return-Path: <");
	str_set(&text, d->sender);
	str_replace(&text, '\n', '_');
	addr_quote(&d->return_path, &text);
	str_add(&d->return_path, ">\n");

	set_from_line(&text, d->sender);
	str_addf(&d->from_line, "From %s ", text.s);
	add_mbox_date(&d->from_line, time(NULL));
	str_add_char(&d->from_line, '\n');
	str_free(&text);
}

const char *
delivery_local(const struct delivery *d)
{
	size_t len = strlen(d->domain);
	bool prefixed = len && !strncasecmp(d->local, d->domain, len) && d->local[len] == '-' &&
			d->local[len + 1];

	return prefixed ? d->local + len + 1 : d->local;
}

void
delivery_set_owner(struct delivery *d, bool verp)
{
	/* A bounce stays one, or two lists could send bounces to each other. */
	if (!*d->sender || !strcmp(d->sender, "#@[]"))
		return;
	str_clear(&d->new_sender);
	str_addf(&d->new_sender, verp ? "%s-owner-@%s-@[]" : "%s-owner@%s", d->local, d->domain);
}

/* A program's variables; those with value NULL are taken out of the environment. */
struct variable {
	const char *name, *value;
};

#define VARIABLES 18

/* Behind the nth dash of ext, or its end. */
static const char *
behind_dash(const char *ext, int n)
{
	for (; n > 0; n--) {
		ext += strcspn(ext, "-");
		if (*ext)
			ext++;
	}
	return ext;
}

/* The part of domain in front of its nth dot from the end; all of what is left without one. */
static char *
before_dot(const char *domain, int n)
{
	struct str part = STR_INIT;

	str_add(&part, domain);
	str_reserve(&part, 1); /* the caller keeps the memory, so there must be some */
	for (; n > 0; n--)
		str_cut(&part, str_rfind(&part, '.'));
	return part.s;
}

static bool
is_set_by_us(const char *entry, const struct variable *ours)
{
	size_t len = strcspn(entry, "="), i;

	for (i = 0; i < VARIABLES; i++)
		if (strlen(ours[i].name) == len && !memcmp(ours[i].name, entry, len))
			return true;
	return false;
}

char **
delivery_environment(const struct delivery *d)
{
	const struct variable ours[VARIABLES] = {
	    {"USER", d->user},
	    {"HOME", d->home},
	    {"LOCAL", d->local},
	    {"HOST", d->domain},
	    {"HOST2", before_dot(d->domain, 1)},
	    {"HOST3", before_dot(d->domain, 2)},
	    {"HOST4", before_dot(d->domain, 3)},
	    {"EXT", d->ext},
	    {"EXT2", behind_dash(d->ext, 1)},
	    {"EXT3", behind_dash(d->ext, 2)},
	    {"EXT4", behind_dash(d->ext, 3)},
	    {"DEFAULT", d->matched},
	    {"SENDER", d->sender},
	    {"NEWSENDER", d->new_sender.s},
	    {"RECIPIENT", d->recipient.s},
	    {"DTLINE", d->delivered_to.s},
	    {"RPLINE", d->return_path.s},
	    {"UFLINE", d->from_line.s},
	};
	size_t count = 0, kept = 0, i;
	char **environment;

	while (environ[count])
		count++;
	environment = mem_array(count + VARIABLES + 1, sizeof *environment);
	for (i = 0; i < count; i++)
		if (!is_set_by_us(environ[i], ours))
			environment[kept++] = environ[i];
	for (i = 0; i < VARIABLES; i++) {
		struct str entry = STR_INIT;

		if (!ours[i].value)
			continue;
		str_add(&entry, ours[i].name);
		str_add_char(&entry, '=');
		str_add(&entry, ours[i].value);
		environment[kept++] = entry.s;
	}
	return environment;
}
