/* What comes back to the senders of forwarded mail: see returned.h. */
#include "smtpd/returned.h"

#include "lib/addr.h"
#include "lib/control.h"
#include "lib/srs.h"

#include <strings.h>
#include <time.h>

#define DAY 86400

static const char trouble[] = "451 unable to read controls (#4.3.0)";

static enum srs
stands_for(struct str *to, const struct str *address, bool *readable)
{
	struct list keys = LIST_INIT;
	enum srs how = SRS_NONE;

	*readable = srs_keys(&keys, "srskeyin");
	if (*readable)
		how = srs_reverse(to, address, &keys, (long)(time(NULL) / DAY));
	list_free(&keys);
	return how;
}

static const char *
replace(const struct session *s, struct str *address, bool *returned)
{
	struct str to = STR_INIT;
	const char *text = NULL;
	bool readable;
	enum srs how = stands_for(&to, address, &readable);

	if (!readable)
		text = trouble;
	else if (how == SRS_EXPIRED)
		text = "550 sorry, that return address is too old (#5.1.1)";
	else if (how != SRS_OK)
		text = "550 sorry, that return address is not of this host (#5.1.1)";
	if (!text) {
		note(s, "returned: <%s> is <%s>", word(address), word(&to));
		str_set_str(address, &to);
		*returned = true;
	}
	str_free(&to);
	return text;
}

const char *
returned_take(const struct session *s, struct str *address, bool *returned)
{
	struct str ours = STR_INIT;
	const char *domain, *text = NULL;
	enum control found;
	size_t len;

	*returned = false;
	if (!srs_is(address))
		return NULL;
	addr_split(address, &len, &domain);
	found = control_line("srsdomain", &ours);
	if (found == CONTROL_ERROR)
		text = trouble;
	else if (found == CONTROL_OK && ours.len && !strcasecmp(domain, ours.s))
		text = replace(s, address, returned);
	str_free(&ours);
	return text;
}
