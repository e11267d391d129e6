/* Senders of forwarded mail: see srs.h. */
#include "lib/srs.h"

#include "lib/addr.h"
#include "lib/control.h"
#include "lib/sha256.h"

#include <errno.h>
#include <string.h>

#define TAG 4       /* SRS0, SRS1 */
#define HASH 8      /* letters */
#define STAMP 2     /* letters */
#define CYCLE 1024L /* days */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char separators[] = {'=', '+', '-'};

bool
srs_keys(struct list *keys, const char *name)
{
	enum control found = control_list(name, keys);
	size_t i;

	if (found == CONTROL_ERROR)
		return false;
	list_index(keys);
	errno = found == CONTROL_OK ? EINVAL : ENOENT;
	for (i = 0; i < keys->count; i++)
		if (strlen(keys->items[i]) < SRS_KEY_LEAST)
			return false;
	return keys->count > 0;
}

/* 0 or 1 with the separator behind it, else -1. */
static int
kind(const char *local, size_t len)
{
	if (len <= TAG || !memchr(separators, local[TAG], sizeof separators))
		return -1;
	if (word_is(local, TAG, "SRS0"))
		return 0;
	return word_is(local, TAG, "SRS1") ? 1 : -1;
}

bool
srs_is(const struct str *address)
{
	const char *domain;
	size_t len;

	addr_split(address, &len, &domain);
	return domain && kind(address->s, len) >= 0;
}

/* The hash of a text, by one key; what is signed as the one kind is nothing as the other. */
static void
sign(char hash[HASH], char which, const char *key, const char *text, size_t len)
{
	unsigned char digest[SHA256_SIZE];
	struct str lower = STR_INIT;
	uint64_t bits = 0;
	size_t i;

	str_add_char(&lower, which);
	str_add_bytes(&lower, text, len);
	str_lower(&lower);
	sha256_hmac(digest, key, strlen(key), lower.s, lower.len);
	str_free(&lower);
	for (i = 0; i < HASH * 5 / 8; i++)
		bits = bits << 8 | digest[i];
	for (i = 0; i < HASH; i++)
		hash[i] = letters[bits >> (5 * (HASH - 1 - i)) & 31];
}

static char
capital(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Takes the same time whatever is wrong with it. */
static bool
signed_by_us(const char *hash, char which, const struct list *keys, const char *text, size_t len)
{
	bool right = false;
	size_t k, i;

	for (k = 0; k < keys->count; k++) {
		char own[HASH];
		unsigned differing = 0;

		sign(own, which, keys->items[k], text, len);
		for (i = 0; i < HASH; i++)
			differing |= (unsigned char)(own[i] ^ capital(hash[i]));
		right = right || !differing;
	}
	return right;
}

static bool
add_signed(
    struct str *to, char which, const struct str *text, const char *domain, const struct list *keys)
{
	char hash[HASH];

	sign(hash, which, keys->items[0], text->s, text->len);
	str_set(to, "SRS");
	str_add_char(to, which);
	str_add_char(to, '=');
	str_add_bytes(to, hash, sizeof hash);
	str_add_char(to, '=');
	str_add_str(to, text);
	str_add_char(to, '@');
	str_add(to, domain);
	return to->len <= ADDR_MAX;
}

/* SRS1: who has signed first, and what stands for the address there, its separator first. */
static bool
forward_again(struct str *text, const char *local, size_t len, const char *domain)
{
	const char *rest = local + TAG, *end = local + len, *equals;

	if (kind(local, len) == 0) {
		str_set(text, domain);
		str_add_char(text, '=');
		str_add_bytes(text, rest, (size_t)(end - rest));
		return true;
	}
	rest++;
	equals = memchr(rest, '=', (size_t)(end - rest));
	if (!equals)
		return false;
	str_set_bytes(text, equals + 1, (size_t)(end - equals - 1));
	return true;
}

bool
srs_forward(struct str *to, const struct str *sender, const char *domain, const struct list *keys,
    long today)
{
	struct str text = STR_INIT;
	const char *old;
	size_t len;
	bool done = false;

	addr_split(sender, &len, &old);
	if (!len || !old || !*old || strchr(old, '='))
		return false;
	if (kind(sender->s, len) >= 0 && forward_again(&text, sender->s, len, old)) {
		done = add_signed(to, '1', &text, domain, keys);
	} else {
		str_add_char(&text, letters[today % CYCLE / 32]);
		str_add_char(&text, letters[today % 32]);
		str_addf(&text, "=%s=", old);
		str_add_bytes(&text, sender->s, len);
		done = add_signed(to, '0', &text, domain, keys);
	}
	str_free(&text);
	return done;
}

/* Days since the stamp, less than CYCLE; CYCLE for what is none. */
static long
age_of(const char stamp[STAMP], long today)
{
	const char *high = strchr(letters, capital(stamp[0]));
	const char *low = strchr(letters, capital(stamp[1]));
	long day;

	if (!stamp[0] || !stamp[1] || !high || !low)
		return CYCLE;
	day = (high - letters) * 32 + (low - letters);
	return (today % CYCLE - day + CYCLE) % CYCLE;
}

/* DAY=DOMAIN=LOCAL */
static enum srs
reverse_first(struct str *to, const char *text, size_t len, long today)
{
	const char *domain = text + STAMP + 1, *end = text + len, *equals;

	if (len <= STAMP + 1 || text[STAMP] != '=')
		return SRS_FORGED;
	equals = memchr(domain, '=', (size_t)(end - domain));
	if (!equals || equals == domain || equals + 1 == end)
		return SRS_FORGED;
	if (age_of(text, today) > SRS_DAYS)
		return SRS_EXPIRED;
	str_set_bytes(to, equals + 1, (size_t)(end - equals - 1));
	str_add_char(to, '@');
	str_add_bytes(to, domain, (size_t)(equals - domain));
	return SRS_OK;
}

/* FIRST=, then what stood behind SRS0 there. */
static enum srs
reverse_again(struct str *to, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len), *end = text + len;

	if (!equals || equals == text || equals + 2 >= end ||
	    !memchr(separators, equals[1], sizeof separators))
		return SRS_FORGED;
	str_set(to, "SRS0");
	str_add_bytes(to, equals + 1, (size_t)(end - equals - 1));
	str_add_char(to, '@');
	str_add_bytes(to, text, (size_t)(equals - text));
	return SRS_OK;
}

enum srs
srs_reverse(struct str *to, const struct str *address, const struct list *keys, long today)
{
	const size_t head = TAG + 1 + HASH + 1;
	const char *domain, *hash = address->s + TAG + 1, *text = address->s + head;
	size_t len;
	int which;

	addr_split(address, &len, &domain);
	which = domain ? kind(address->s, len) : -1;
	if (which < 0)
		return SRS_NONE;
	if (len <= head || text[-1] != '=' ||
	    !signed_by_us(hash, which ? '1' : '0', keys, text, len - head))
		return SRS_FORGED;
	if (which == 0)
		return reverse_first(to, text, len - head, today);
	return reverse_again(to, text, len - head);
}
