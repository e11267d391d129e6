#include "shadow.h"
#include <crypt.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
	FIELDS_MIN = 2,
	FIELDS_MAX = 9,
	DAYS_MAX = 99999999, /* 270 000 years; sums of three stay far inside a long */
};

/* "" and "-1" are SHADOW_NEVER. */
static bool
parse_days(const char *text, long *days)
{
	long value = 0;

	*days = SHADOW_NEVER;
	if (!*text || strcmp(text, "-1") == 0)
		return true;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (*text - '0');
		if (value > DAYS_MAX)
			return false;
	}
	*days = value;
	return true;
}

bool
shadow_parse(char *line, size_t length, struct shadow_entry *entry)
{
	static char none[] = "";
	char *field[FIELDS_MAX];
	size_t fields = 1;
	long ignored;

	if (memchr(line, '\0', length))
		return false;
	line[length] = '\0';
	field[0] = line;
	for (char *colon = strchr(line, ':'); colon; colon = strchr(colon + 1, ':')) {
		if (fields == FIELDS_MAX)
			return false;
		*colon = '\0';
		field[fields++] = colon + 1;
	}
	if (fields < FIELDS_MIN || !*field[0] || *field[0] == '#')
		return false;
	while (fields < FIELDS_MAX)
		field[fields++] = none;
	entry->name = field[0];
	entry->hash = field[1];
	entry->services = field[8];
	return parse_days(field[2], &entry->last_change) && parse_days(field[3], &ignored) &&
	       parse_days(field[4], &entry->maximum) && parse_days(field[5], &ignored) &&
	       parse_days(field[6], &entry->inactive) && parse_days(field[7], &entry->expiry);
}

bool
shadow_hash_usable(const char *hash)
{
	int verdict;

	if (!*hash || *hash == '!' || *hash == '*' || strlen(hash) >= CRYPT_OUTPUT_SIZE)
		return false;
	verdict = crypt_checksalt(hash);
	return verdict != CRYPT_SALT_INVALID && verdict != CRYPT_SALT_METHOD_DISABLED;
}

bool
shadow_current(const struct shadow_entry *entry, long today)
{
	if (entry->expiry != SHADOW_NEVER && today >= entry->expiry)
		return false;
	if (entry->last_change == SHADOW_NEVER)
		return true; /* ageing is off */
	if (entry->last_change == 0)
		return false; /* a change has been ordered, and mail has no way to make it */
	if (entry->maximum == SHADOW_NEVER)
		return true;
	return today <= entry->last_change + entry->maximum +
			    (entry->inactive == SHADOW_NEVER ? 0 : entry->inactive);
}

/* A number that can't be foreseen without knowing the hash, the same at each look-up of `user`. */
static uint64_t
affinity(const char *user, const char *hash)
{
	uint64_t mix = 0xcbf29ce484222325; /* FNV-1a over both strings, then a finishing shuffle */

	for (const char *s = hash; *s; s++)
		mix = (mix ^ (unsigned char)*s) * 0x100000001b3;
	mix = (mix ^ 0xff) * 0x100000001b3;
	for (const char *s = user; *s; s++)
		mix = (mix ^ (unsigned char)*s) * 0x100000001b3;
	mix = (mix ^ (mix >> 33)) * 0xff51afd7ed558ccd;
	mix = (mix ^ (mix >> 33)) * 0xc4ceb9fe1a85ec53;
	return mix ^ (mix >> 33);
}

bool
shadow_serves(const char *services, const char *service)
{
	const size_t length = strlen(service);

	if (!*services)
		return true;
	if (length == 0)
		return false;
	for (const char *at = services; *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == length && memcmp(at, service, length) == 0)
			return true;
	return false;
}

/* The state of a look-up while the file goes by. */
struct search {
	const char *user;
	const char *service;
	long today;
	struct shadow_answer *answer;
	size_t own; /* entries of the user's */
	size_t run; /* of the same user, up to this line */
	char last[SHADOW_LINE_MAX];
	struct {
		uint64_t score;
		struct shadow_password password;
	} stand_ins[SHADOW_PASSWORDS_MAX];
};

static size_t
user_length(const char *name)
{
	return strcspn(name, "/");
}

static void
take(struct shadow_password *password, const struct shadow_entry *entry)
{
	/* Both are parts of one line, so they fit. */
	memcpy(password->owner, entry->name, strlen(entry->name) + 1);
	memcpy(password->hash, entry->hash, strlen(entry->hash) + 1);
}

/* How many passwords users have at most, as far as the entries of each stand together. */
static void
count_passwords(struct search *search, const char *name)
{
	const size_t length = user_length(name);

	if (strlen(search->last) == length && memcmp(search->last, name, length) == 0)
		search->run++;
	else
		search->run = 1;
	memcpy(search->last, name, length);
	search->last[length] = '\0';
	if (search->run > search->answer->count && search->run <= SHADOW_PASSWORDS_MAX)
		search->answer->count = search->run;
}

/* An entry of the user's. One that has no usable hash has its place, too, and a stand-in later. */
static void
take_own(struct search *search, const struct shadow_entry *entry)
{
	struct shadow_password *passwords = search->answer->passwords;
	const bool of_device = strchr(entry->name, '/') != NULL;

	for (size_t i = 0; i < search->own; i++)
		if (strcmp(passwords[i].owner, entry->name) == 0)
			return;
	if (search->own == SHADOW_PASSWORDS_MAX)
		return;
	search->answer->known = true;
	take(&passwords[search->own], entry);
	if (shadow_hash_usable(entry->hash))
		passwords[search->own].usable =
		    shadow_current(entry, search->today) &&
		    (!of_device || shadow_serves(entry->services, search->service));
	else
		passwords[search->own].hash[0] = '\0';
	search->own++;
}

static uint64_t
next_score(uint64_t score)
{
	score = (score ^ (score >> 31)) * 0x9e3779b97f4a7c15;
	return score ^ (score >> 29);
}

/* The user's own entries decide. For those without a usable hash, and for as many more as others
   have, the entries with the highest affinity to the name stand in. So an unknown name keeps to its
   stand-ins, unknown names spread over the file's methods and costs just as the known ones do, and
   who is in the file can't be told by the clock even where it holds hashes of several kinds. */
static void
consider(struct search *search, char *line, size_t length)
{
	struct shadow_entry entry;
	uint64_t score;

	if (!shadow_parse(line, length, &entry))
		return;
	count_passwords(search, entry.name);
	if (user_length(entry.name) == strlen(search->user) &&
	    memcmp(entry.name, search->user, strlen(search->user)) == 0) {
		take_own(search, &entry);
		return;
	}
	if (!shadow_hash_usable(entry.hash))
		return;
	score = affinity(search->user, entry.hash);
	for (size_t i = 0; i < SHADOW_PASSWORDS_MAX; i++, score = next_score(score))
		if (!*search->stand_ins[i].password.hash || score > search->stand_ins[i].score) {
			search->stand_ins[i].score = score;
			take(&search->stand_ins[i].password, &entry);
		}
}

static void
fill_up(struct search *search)
{
	struct shadow_answer *answer = search->answer;

	if (answer->count < search->own)
		answer->count = search->own;
	if (answer->count == 0)
		answer->count = 1;
	for (size_t i = 0; i < answer->count; i++)
		if (!*answer->passwords[i].hash)
			answer->passwords[i] = search->stand_ins[i].password;
}

bool
shadow_find(int fd, const char *user, const char *service, long today, struct shadow_answer *answer)
{
	char chunk[4096];
	char line[SHADOW_LINE_MAX];
	size_t length = 0;
	bool fits = true;
	ssize_t got;
	static struct search search; /* 18 KiB, rather not on the stack */

	search =
	    (struct search){.user = user, .service = service, .today = today, .answer = answer};
	*answer = (struct shadow_answer){.known = false};
	while ((got = read(fd, chunk, sizeof chunk)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		for (ssize_t i = 0; i < got; i++) {
			if (chunk[i] == '\n') {
				if (fits)
					consider(&search, line, length);
				length = 0;
				fits = true;
			} else if (length == sizeof line - 1) {
				fits = false;
			} else {
				line[length++] = chunk[i];
			}
		}
	}
	if (got == 0 && length > 0 && fits)
		consider(&search, line, length);
	explicit_bzero(chunk, sizeof chunk);
	explicit_bzero(line, sizeof line);
	if (got == 0)
		fill_up(&search);
	explicit_bzero(&search, sizeof search);
	if (got < 0)
		shadow_wipe(answer);
	return got == 0;
}

void
shadow_wipe(struct shadow_answer *answer)
{
	explicit_bzero(answer, sizeof *answer);
}
