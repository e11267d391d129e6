/* A line as a client sends it: faults, verb, the paths of MAIL and RCPT, PLAIN responses. */
#include "fuzz/fuzz.h"
#include "lib/addr.h"
#include "lib/base64.h"
#include "smtpd/command.h"
#include "smtpd/path.h"
#include "smtpd/plain.h"

#include <string.h>

static void
addresses(const char *text, size_t len, const char *keyword)
{
	struct path path = PATH_INIT;
	const char *domain;
	size_t local, i;

	if (path_parse(text, len, keyword, &path) == PATH_FINE) {
		MUST(path.address.len <= ADDR_MAX + 1);
		MUST(keyword[0] == 'F' || path.address.len > 0);
		MUST(keyword[0] == 'F' || !path.has_size);
		for (i = 0; i < path.address.len; i++)
			MUST((unsigned char)path.address.s[i] >= 32 && path.address.s[i] != 127);
		addr_split(&path.address, &local, &domain);
		if (domain) {
			MUST(local > 0 && *domain);
			MUST(!strpbrk(domain, " \"\\<>()|;/!%@"));
		}
	}
	path_free(&path);
}

static void
responses(const char *text, size_t len)
{
	struct str bytes = STR_INIT, again = STR_INIT;
	struct str identity = STR_INIT, user = STR_INIT, password = STR_INIT;

	if (base64_decode(&bytes, text, len)) {
		base64_encode(&again, bytes.s, bytes.len);
		MUST(again.len == len && !memcmp(again.s, text, len));
		if (plain_parse(&bytes, &identity, &user, &password))
			MUST(user.len && password.len && !str_has_nul(&identity) &&
			     !str_has_nul(&user) && !str_has_nul(&password));
	}
	str_set_bytes(&bytes, text, len);
	plain_parse(&bytes, &identity, &user, &password);
	str_free(&bytes);
	str_free(&again);
	str_free(&identity);
	str_free(&user);
	str_free(&password);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *line = (const char *)bytes, *argument;
	size_t clean = len, argument_len;
	enum line_fault fault = line_check(line, &clean);

	MUST(clean <= len);
	if (fault == LINE_FINE)
		MUST(!memchr(line, '\r', clean) && !memchr(line, '\n', clean) &&
		     !memchr(line, 0, clean));
	command_parse(line, clean, &argument, &argument_len);
	MUST(argument >= line && argument + argument_len <= line + clean);
	addresses(argument, argument_len, "FROM");
	addresses(argument, argument_len, "TO");
	addresses(line, len, "FROM");
	responses(argument, argument_len);
	return 0;
}
