/* The response of SASL PLAIN: see plain.h. */
#include "smtpd/plain.h"

#include <string.h>

bool
plain_parse(
    const struct str *response, struct str *identity, struct str *user, struct str *password)
{
	const char *end = response->s + response->len, *first, *second, *name;

	first = memchr(response->s, 0, response->len);
	if (!first)
		return false;
	name = first + 1;
	second = memchr(name, 0, (size_t)(end - name));
	if (!second || second == name || second + 1 == end)
		return false;
	str_set_bytes(identity, response->s, (size_t)(first - response->s));
	str_set_bytes(user, name, (size_t)(second - name));
	str_set_bytes(password, second + 1, (size_t)(end - second - 1));
	return !str_has_nul(password);
}
