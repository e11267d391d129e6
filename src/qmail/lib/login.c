/* Names of a log-in: see login.h. */
#include "lib/login.h"

#include "lib/addr.h"
#include "lib/cdbfile.h"
#include "lib/control.h"
#include "lib/idn.h"
#include "lib/items.h"

#include <string.h>

#define LOGINS "users/logins.cdb"

/* qmail-send's own reading of the file: me where it is absent. */
static bool
read_locals(struct list *locals)
{
	struct str me = STR_INIT;
	enum control found = control_list("locals", locals);

	if (found == CONTROL_ABSENT)
		found = control_line("me", &me);
	if (me.len)
		list_add(locals, me.s);
	list_sort(locals);
	str_free(&me);
	return found == CONTROL_OK;
}

/* The mailbox in front of the first NUL; none of an address whose last day is over. */
static enum cdbfile
take_mailbox(const struct str *value, struct str *mailbox)
{
	const char *until = items_value(value, "until");
	size_t len = strlen(value->s);

	if (!len || len == value->len)
		return CDBFILE_ERROR;
	switch (until ? items_last_day(until) : ITEMS_DAY_LEFT) {
	case ITEMS_DAY_LEFT: str_set(mailbox, value->s); break;
	case ITEMS_DAY_OVER: break;
	case ITEMS_DAY_NONSENSE: return CDBFILE_ERROR;
	}
	return CDBFILE_FOUND;
}

/* Sets mailbox to what the table says of a name, or leaves it. */
static enum cdbfile
mailbox_of(const struct str *name, struct str *mailbox)
{
	struct str value = STR_INIT;
	enum cdbfile found = cdbfile_get(LOGINS, name->s, name->len, &value);

	if (found == CDBFILE_FOUND)
		found = take_mailbox(&value, mailbox);
	str_free(&value);
	return found;
}

/* A name that the table doesn't have. */
static bool
without_our_domain(struct str *account)
{
	struct list locals = LIST_INIT;
	const char *domain;
	size_t local;
	bool known = true;

	addr_split(account, &local, &domain);
	if (!domain || !local || !*domain)
		return true;
	known = read_locals(&locals);
	if (known && list_find(&locals, domain))
		str_cut(account, local);
	list_free(&locals);
	return known;
}

bool
login_account(const struct str *typed, struct str *account)
{
	struct str name = STR_INIT;
	enum cdbfile found = CDBFILE_ABSENT;

	str_set_str(account, typed);
	str_lower(account);
	if (!str_has_nul(account)) {
		if (idn_address(&name, account->s) != IDN_OK)
			str_set_str(&name, account);
		str_lower(&name);
		found = mailbox_of(&name, account);
	}
	str_free(&name);
	return found == CDBFILE_FOUND || (found == CDBFILE_ABSENT && without_our_domain(account));
}
