/* Loops that can be foreseen: see loop.h. */
#include "smtpd/loop.h"

#include "lib/addr.h"
#include "lib/control.h"
#include "send/route.h"

#include <string.h>

#define DEPTH_MAX 8 /* aliases of aliases */
#define STEPS_MAX 200000

struct search {
	struct routes routes;
	struct list aliases, delivered;
	unsigned long steps;
};

static bool leads_back(struct search *search, const char *address, int depth);

/* targets: addresses with blanks between them. */
static bool
one_leads_back(struct search *search, const char *targets, int depth)
{
	struct str target = STR_INIT;
	bool back = false;

	while (*targets && !back) {
		size_t len = strcspn(targets, " \t");

		str_set_bytes(&target, targets, len);
		if (len)
			back = leads_back(search, target.s, depth);
		targets += len + strspn(targets + len, " \t");
	}
	str_free(&target);
	return back;
}

static bool
leads_back(struct search *search, const char *address, int depth)
{
	struct str to = STR_INIT;
	const char *targets = NULL, *domain;
	size_t local;
	bool back = false;

	if (search->steps++ < STEPS_MAX && route(&search->routes, address, &to) == CHANNEL_LOCAL) {
		back = list_find(&search->delivered, to.s);
		if (depth > 0)
			targets = table_find(&search->aliases, to.s);
		addr_split(&to, &local, &domain);
		str_cut(&to, local);
		if (depth > 0 && !targets)
			targets = table_find(&search->aliases, to.s);
	}
	if (!back && targets)
		back = one_leads_back(search, targets, depth - 1);
	str_free(&to);
	return back;
}

static void
add_all(struct list *list, const struct str *addresses)
{
	const char *at = addresses->s, *end = at + addresses->len;

	for (; at < end; at += strlen(at) + 1)
		list_add(list, at);
	list_sort(list);
}

enum verdict
loop_foreseen(const struct str *recipients, const struct str *delivered)
{
	struct search search = {
	    .routes = {LIST_INIT, LIST_INIT, LIST_INIT, STR_INIT},
	    .aliases = LIST_INIT,
	    .delivered = LIST_INIT,
	};
	const char *at = recipients->s, *end = at + recipients->len;
	enum verdict foreseen = VERDICT_NO;

	if (!delivered->len)
		return VERDICT_NO;
	if (routes_load(&search.routes) ||
	    control_list("aliastargets", &search.aliases) == CONTROL_ERROR)
		foreseen = VERDICT_UNKNOWN;
	list_sort(&search.aliases);
	add_all(&search.delivered, delivered);
	for (; at < end && foreseen == VERDICT_NO; at += strlen(at) + 1)
		if (leads_back(&search, at, DEPTH_MAX))
			foreseen = VERDICT_YES;
	list_free(&search.delivered);
	list_free(&search.aliases);
	list_free(&search.routes.locals);
	list_free(&search.routes.virtual);
	list_free(&search.routes.percent);
	str_free(&search.routes.no_at_host);
	return foreseen;
}
