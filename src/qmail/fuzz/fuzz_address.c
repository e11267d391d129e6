/*
 * Addresses on their way out: what qmail-remote says must be one path, and what our own
 * receiver reads from it must be the address that was meant.
 */
#include "fuzz/fuzz.h"
#include "lib/addr.h"
#include "lib/netip.h"
#include "remote/envelope.h"
#include "smtpd/path.h"

#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str address = STR_INIT, command = STR_INIT, text = STR_INIT;
	struct path path = PATH_INIT;
	struct netip ip, same;

	str_set_bytes(&address, bytes, len);
	str_cut(&address, strlen(address.s));
	if (netip_parse_literal(address.s, &ip)) {
		netip_add(&text, &ip);
		MUST(netip_parse(text.s, &same) && netip_equal(&ip, &same));
	}
	str_set(&command, "FROM:");
	if (envelope_add_path(&command, address.s)) {
		size_t i;

		for (i = 0; i < command.len; i++)
			MUST((unsigned char)command.s[i] >= ' ' && command.s[i] != 127);
		MUST(command.s[5] == '<' && command.s[command.len - 1] == '>');
		if (!str_equal(&address, "#@[]") &&
		    path_parse(command.s, command.len, "FROM", &path) == PATH_FINE) {
			MUST(path.parameters == PARAMETERS_FINE && !path.has_size);
			MUST(str_equal_str(&path.address, &address));
		}
	} else
		MUST(str_equal(&command, "FROM:"));
	path_free(&path);
	str_free(&address);
	str_free(&command);
	str_free(&text);
	return 0;
}
