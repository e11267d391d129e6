/*
 * qmail-lookup: answers qmail-lspawn's questions who gets the mail for a local part: lookup.h. It
 * runs as qmailp, without any descriptor but that of its questions, and for as long as
 * qmail-lspawn.
 */
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "spawn/account.h"
#include "spawn/lookup.h"

#include <sys/socket.h>

int
main(void)
{
	static char request[LOOKUP_MAX + 1];
	struct str answer = STR_INIT, packed = STR_INIT;
	struct account account;
	ssize_t got;

	process_closed();
	if (!home_enter())
		return 111;
	account_init(&account);
	while ((got = recv(0, request, LOOKUP_MAX, 0)) > 2) {
		enum account_found found;

		request[got] = 0;
		str_clear(&packed);
		found = account_find(request + 2, &account);
		if (found == ACCOUNT_FOUND)
			account_pack(&account, &packed);
		str_set_bytes(&answer, request, 2);
		str_add_char(&answer, (char)found);
		str_add_str(&answer, &packed);
		if (send(1, answer.s, answer.len, MSG_NOSIGNAL) < 0)
			break;
	}
	return 0;
}
