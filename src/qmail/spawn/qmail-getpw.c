/*
 * qmail-getpw: prints which system account the mail for a local part goes to, in the six
 * NUL-ended fields that users/cdb has too. qmail-lspawn follows the same rules (account.h)
 * by itself; this is for looking. See qmail-getpw(8).
 */
#include "lib/bio.h"
#include "spawn/account.h"

int
main(int count, char **arguments)
{
	struct str packed = STR_INIT;
	struct account account;
	bool written;

	if (count != 2) {
		say("usage: qmail-getpw local\n");
		return 100;
	}
	account_init(&account);
	if (account_passwd(&account_host, arguments[1], &account) != ACCOUNT_FOUND) {
		say("qmail-getpw: can't tell whose %s is\n", arguments[1]);
		return 111;
	}
	account_pack(&account, &packed);
	written = fd_write_all(1, packed.s, packed.len);
	account_free(&account);
	str_free(&packed);
	return written ? 0 : 111;
}
