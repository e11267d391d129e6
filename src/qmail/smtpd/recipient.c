/* Expiry, lists, quotas and thresholds of recipients: see recipient.h. */
#include "smtpd/recipient.h"

#include "lib/bio.h"
#include "lib/items.h"
#include "smtpd/bykey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FULL_BELIEVED 300 /* seconds; then one delivery may count anew */
#define FULL_LINE 128     /* bytes of a file in users/full */
#define THRESHOLD "SPAMTHRESHOLD"

static const char trouble[] = "451 unable to read controls (#4.3.0)";

static const char *
expiry_objection(const char *last)
{
	switch (items_last_day(last)) {
	case ITEMS_DAY_LEFT: return NULL;
	case ITEMS_DAY_OVER: return "550 sorry, no mailbox here by that name (#5.1.1)";
	case ITEMS_DAY_NONSENSE: break;
	}
	return trouble;
}

/* Whether the sender is one of those that the list names. */
static enum cdbfile
named(const struct cdbtable *lists, const char *list, const struct str *sender)
{
	struct str key = STR_INIT, whole = STR_INIT;
	enum cdbfile found = CDBFILE_ABSENT;

	if (sender->len && bykey_whole(&whole, sender)) {
		str_set_bytes(&key, list, strlen(list) + 1);
		str_add_str(&key, &whole);
		found = cdbtable_get(lists, key.s, key.len, NULL);
	}
	str_free(&key);
	str_free(&whole);
	return found;
}

/* Its policy is in front of the first NUL. */
static const char *
judge_sender(const struct session *s, const struct cdbtable *lists, const char *list)
{
	struct str policy = STR_INIT;
	enum cdbfile allowed = cdbtable_get(lists, list, strlen(list), &policy);
	bool anyone = !strcmp(policy.s, "anyone"), users = !strcmp(policy.s, "users");

	str_free(&policy);
	if (allowed != CDBFILE_FOUND)
		return trouble;
	if (anyone || (users && session_authenticated(s)))
		return NULL;
	switch (named(lists, list, &s->sender)) {
	case CDBFILE_FOUND: return NULL;
	case CDBFILE_ABSENT: return "550 sorry, you may not write to this list (#5.7.2)";
	case CDBFILE_ERROR: break;
	}
	return trouble;
}

static const char *
list_objection(const struct session *s, const char *list)
{
	struct cdbtable lists;
	const char *text;

	if (cdbtable_open(&lists, "users/lists.cdb") != CDBFILE_FOUND)
		return trouble;
	text = judge_sender(s, &lists, list);
	cdbtable_close(&lists);
	return text;
}

/* What is in a mailbox, by the file that its own user writes. */
struct note {
	unsigned long used; /* bytes */
	bool refused;       /* the last delivery had no room */
};

/* USED LIMIT LEVEL ...; what makes no sense says nothing. */
static void
parse_note(struct note *note, char *line)
{
	char *limit = strchr(line, ' '), *level = limit ? strchr(limit + 1, ' ') : NULL;

	if (!level)
		return;
	*limit = 0;
	number_parse(line, ULONG_MAX, &note->used);
	note->refused = !strcmp(level + 1, "full") || !strncmp(level + 1, "full ", 5);
}

/* What is old says nothing either, so that one delivery may count anew. */
static struct note
read_note(const char *uid)
{
	struct note note = {0, false};
	struct str path = STR_INIT;
	char line[FULL_LINE];
	struct stat file;
	ssize_t len = -1;
	int fd;

	str_addf(&path, "users/full/%s", uid);
	fd = open(path.s, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) &&
	    time(NULL) - file.st_mtime <= FULL_BELIEVED)
		len = fd_read(fd, line, sizeof line - 1);
	if (fd >= 0)
		close(fd);
	if (len > 0) {
		line[len] = 0;
		parse_note(&note, line);
	}
	str_free(&path);
	return note;
}

/* With SIZE it is known whether the message has room, which another one may not have had. */
static bool
full(const struct session *s, const struct note *note, unsigned long limit)
{
	return note->used >= limit || s->size > limit - note->used || (note->refused && !s->size);
}

static const char *
quota_objection(const struct session *s, const char *uid)
{
	struct str value = STR_INIT;
	enum cdbfile found = cdbfile_get("users/quotas.cdb", uid, strlen(uid), &value);
	unsigned long limit = 0, number = 0;
	struct note note;

	if (!number_parse(uid, UINT_MAX, &number) ||
	    (found == CDBFILE_FOUND && !number_parse(value.s, ULONG_MAX, &limit)))
		found = CDBFILE_ERROR;
	str_free(&value);
	if (found == CDBFILE_ERROR)
		return trouble;
	if (found == CDBFILE_ABSENT)
		return NULL;
	if (s->size > limit)
		return "552 sorry, that message is larger than the mailbox may be (#5.2.2)";
	note = read_note(uid);
	return full(s, &note, limit) ? "452 sorry, the mailbox is full (#4.2.2)" : NULL;
}

/*
 * The first recipient's threshold is the transaction's. Who may relay is a mail client, as a rule,
 * that would take 452 for an error: then recipients who differ have the site's.
 */
static const char *
take_threshold(struct session *s, const char *points)
{
	if (!s->recipient_count) {
		str_set(&s->threshold, points);
		return NULL;
	}
	if (str_equal(&s->threshold, points))
		return NULL;
	if (!session_relay(s))
		return "452 that recipient needs a copy of its own, for another spam threshold "
		       "(#4.5.3)";
	str_clear(&s->threshold);
	return NULL;
}

static bool
is_threshold(const char *points)
{
	return !strcmp(points, "off") ||
	       (*points && strlen(points) < 16 && strspn(points, "-0123456789.") == strlen(points));
}

const char *
recipient_plain(struct session *s)
{
	return take_threshold(s, "");
}

static const char *
judge(struct session *s, const struct str *words)
{
	const char *until = items_value(words, "until"), *list = items_value(words, "list");
	const char *quota = items_value(words, "quota"), *spam = items_value(words, "spam");
	const char *text = NULL;

	if (until)
		text = expiry_objection(until);
	if (!text && list)
		text = list_objection(s, list);
	if (!text && quota)
		text = quota_objection(s, quota);
	if (!text && spam && !is_threshold(spam))
		text = trouble;
	return text ? text : take_threshold(s, spam ? spam : "");
}

const char *
recipient_objection(struct session *s, const struct str *whole)
{
	struct str words = STR_INIT;
	const char *text = trouble;

	switch (bykey_get("users/recipients.cdb", whole, &words)) {
	case BYKEY_FOUND: text = judge(s, &words); break;
	case BYKEY_ABSENT:
	case BYKEY_NO_TABLE: text = recipient_plain(s); break;
	case BYKEY_ERROR: break;
	}
	str_free(&words);
	return text;
}

void
recipient_announce(const struct session *s)
{
	static const char *site;
	static bool known;

	if (!known) {
		site = getenv(THRESHOLD);
		known = true;
		if (site)
			site = strdup(site);
	}
	if (s->threshold.len)
		setenv(THRESHOLD, s->threshold.s, 1);
	else if (site)
		setenv(THRESHOLD, site, 1);
	else
		unsetenv(THRESHOLD);
}
