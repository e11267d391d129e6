/* Names of a log-in: see login.h. */
#include "lib/login.h"

#include "lib/addr.h"
#include "lib/control.h"

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

bool
login_account(const struct str *typed, struct str *account)
{
	struct list locals = LIST_INIT;
	const char *domain;
	size_t local;
	bool known = true;

	str_set_str(account, typed);
	str_lower(account);
	addr_split(account, &local, &domain);
	if (!domain || !local || !*domain)
		return true;
	known = read_locals(&locals);
	if (known && list_find(&locals, domain))
		str_cut(account, local);
	list_free(&locals);
	return known;
}
