/* Envelope addresses: see envelope.h. */
#include "remote/envelope.h"

#include "lib/addr.h"
#include "lib/idn.h"

#include <string.h>

static bool
sayable(const struct str *address)
{
	const char *domain;
	size_t local_len, i;

	if (address->len > ADDR_MAX)
		return false;
	for (i = 0; i < address->len; i++)
		if ((unsigned char)address->s[i] < 32 || address->s[i] == 127)
			return false;
	addr_split(address, &local_len, &domain);
	if (!domain)
		return address->len == 0 || local_len > 0;
	return local_len > 0 && *domain && !strpbrk(domain, " \"(),;<>\\");
}

bool
envelope_add_path(struct str *command, const char *address)
{
	struct str whole = STR_INIT;
	bool fine;

	if (strcmp(address, "#@[]"))
		str_set(&whole, address);
	fine = sayable(&whole);
	if (fine) {
		str_add_char(command, '<');
		addr_quote(command, &whole);
		str_add_char(command, '>');
	}
	str_free(&whole);
	return fine;
}

bool
envelope_is_international(const char *address)
{
	return !idn_is_ascii(address);
}
