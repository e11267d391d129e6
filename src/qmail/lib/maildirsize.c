/* The file maildirsize: see maildirsize.h. */
#include "lib/maildirsize.h"

#include <string.h>

#define DIGITS_MAX 18 /* so that a long long holds any sum that is looked at */
#define SUM_MAX 1000000000000000000LL

struct cursor {
	const char *at, *end;
};

static void
skip_blanks(struct cursor *c)
{
	while (c->at < c->end && *c->at == ' ')
		c->at++;
}

static bool
take_number(struct cursor *c, long long *number)
{
	bool negative = c->at < c->end && *c->at == '-';
	int digits = 0;

	*number = 0;
	if (negative)
		c->at++;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, digits++) {
		if (digits == DIGITS_MAX)
			return false;
		*number = *number * 10 + (*c->at - '0');
	}
	if (negative)
		*number = -*number;
	return digits > 0;
}

static bool
take_end(struct cursor *c)
{
	skip_blanks(c);
	if (c->at == c->end || *c->at != '\n')
		return false;
	c->at++;
	return true;
}

/* The one quota that we keep: of bytes, and none of messages. */
static bool
take_limit(struct cursor *c, unsigned long limit)
{
	long long said;

	if (!take_number(c, &said) || said < 0 || (unsigned long)said != limit || c->at == c->end ||
	    *c->at != 'S')
		return false;
	c->at++;
	return take_end(c);
}

static bool
add_to(long long *sum, long long number)
{
	*sum += number;
	return *sum <= SUM_MAX && *sum >= -SUM_MAX;
}

bool
maildirsize_parse(const char *text, size_t len, unsigned long limit, struct maildirsize *size)
{
	struct cursor c = {text, text + len};
	long long bytes = 0, count = 0, number;
	unsigned lines = 0;

	if (!take_limit(&c, limit))
		return false;
	for (; c.at < c.end; lines++) {
		skip_blanks(&c);
		if (!take_number(&c, &number) || !add_to(&bytes, number))
			return false;
		skip_blanks(&c);
		if (!take_number(&c, &number) || !add_to(&count, number) || !take_end(&c))
			return false;
	}
	if (!lines || bytes < 0 || count < 0)
		return false;
	*size = (struct maildirsize){(unsigned long)bytes, (unsigned long)count, lines};
	return true;
}

void
maildirsize_add(struct str *to, long bytes, long count)
{
	str_addf(to, "%ld %ld\n", bytes, count);
}

void
maildirsize_format(struct str *to, unsigned long limit, const struct maildirsize *size)
{
	str_addf(to, "%luS\n", limit);
	maildirsize_add(to, (long)size->bytes, (long)size->count);
}

bool
maildirsize_of_name(const char *name, unsigned long *bytes)
{
	const char *end = name + strcspn(name, ":"), *at;
	struct cursor c;
	long long number;

	for (at = name; end - at > 3; at++) {
		if (memcmp(at, ",S=", 3))
			continue;
		c = (struct cursor){at + 3, end};
		if (!take_number(&c, &number) || number < 0 || (c.at < end && *c.at != ','))
			return false;
		*bytes = (unsigned long)number;
		return true;
	}
	return false;
}
