/* An account, and what it is in a datagram: see account.h. */
#include "spawn/account.h"

#include <limits.h>
#include <string.h>

void
account_init(struct account *account)
{
	*account = (struct account){STR_INIT, STR_INIT, STR_INIT, STR_INIT, 0, 0};
}

void
account_free(struct account *account)
{
	str_free(&account->user);
	str_free(&account->home);
	str_free(&account->dash);
	str_free(&account->ext);
}

void
account_pack(const struct account *account, struct str *to)
{
	str_clear(to);
	str_add_bytes(to, account->user.s, account->user.len + 1);
	str_add_number(to, account->uid);
	str_add_char(to, 0);
	str_add_number(to, account->gid);
	str_add_char(to, 0);
	str_add_bytes(to, account->home.s, account->home.len + 1);
	str_add_bytes(to, account->dash.s, account->dash.len + 1);
	str_add_bytes(to, account->ext.s, account->ext.len + 1);
}

bool
account_unpack(const char *bytes, size_t len, struct account *account)
{
	const char *fields[6], *at = bytes, *end = bytes + len;
	unsigned long uid, gid;
	int i;

	for (i = 0; i < 6; i++) {
		fields[i] = at;
		at = memchr(at, 0, (size_t)(end - at));
		if (!at)
			return false;
		at++;
	}
	if (at != end || !*fields[0] || fields[3][0] != '/' ||
	    !number_parse(fields[1], UINT_MAX - 1, &uid) ||
	    !number_parse(fields[2], UINT_MAX - 1, &gid))
		return false;
	if (!uid)
		return false;
	account->uid = (uid_t)uid;
	account->gid = (gid_t)gid;
	str_set(&account->user, fields[0]);
	str_set(&account->home, fields[3]);
	str_set(&account->dash, fields[4]);
	str_set(&account->ext, fields[5]);
	return true;
}
