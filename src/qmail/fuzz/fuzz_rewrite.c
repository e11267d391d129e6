/* Address lists: what was rewritten once stays as it is, and names the same addresses. */
#include "fuzz/fuzz.h"

#include "inject/rewrite.h"
#include "lib/addr.h"

#include <string.h>

static void
rewrite(const struct rewrite_rules *rules, const char *bytes, size_t len)
{
	struct str once = STR_INIT, twice = STR_INIT;
	struct list first = LIST_INIT, second = LIST_INIT;
	size_t i;

	if (rewrite_list(&once, &first, bytes, len, rules)) {
		MUST(rewrite_list(&twice, &second, once.s, once.len, rules));
		MUST(str_equal_str(&once, &twice));
		MUST(str_equal_str(&first.bytes, &second.bytes));
		list_index(&first);
		for (i = 0; i < first.count; i++)
			MUST(strlen(first.items[i]) <= ADDR_MAX);
	}
	MUST(rewrite_list(NULL, NULL, bytes, len, rules) ==
	     rewrite_list(&twice, NULL, bytes, len, rules));
	str_free(&once);
	str_free(&twice);
	list_free(&first);
	list_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct rewrite_rules rules = REWRITE_RULES_INIT;

	rewrite(&rules, (const char *)bytes, len);
	str_set(&rules.default_host, "host");
	str_set(&rules.default_domain, "domain.test");
	str_set(&rules.plus_domain, "plus.test");
	rewrite(&rules, (const char *)bytes, len);
	str_free(&rules.default_host);
	str_free(&rules.default_domain);
	str_free(&rules.plus_domain);
	return 0;
}
