/*
 * An address that stands for another one, as anybody may write it; and as a sender that is
 * rewritten: then it must come back.
 */
#include "fuzz/fuzz.h"
#include "lib/addr.h"
#include "lib/srs.h"

#include <string.h>

#define TODAY 20783

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str given = STR_INIT, made = STR_INIT, back = STR_INIT;
	struct list keys = LIST_INIT;

	list_add(&keys, "0123456789abcdef0123456789abcdef");
	list_index(&keys);
	str_set_bytes(&given, bytes, len);
	if (srs_reverse(&back, &given, &keys, TODAY) == SRS_OK)
		MUST(srs_is(&given) && back.len < given.len);
	if (!str_has_nul(&given) && srs_forward(&made, &given, "us.test", &keys, TODAY)) {
		enum srs how = srs_reverse(&back, &made, &keys, TODAY);

		MUST(made.len <= ADDR_MAX && srs_is(&made));
		/* Whoever has sent it as SRS1 may have written what he likes behind it. */
		MUST(how == SRS_OK || (how == SRS_FORGED && str_starts_nocase(&given, "SRS")));
		if (!srs_is(&given))
			MUST(how == SRS_OK && str_equal_str(&back, &given));
		if (how == SRS_OK && str_starts_nocase(&given, "SRS0") && srs_is(&given))
			MUST(str_equal_nocase(&back, given.s));
	}
	str_free(&given);
	str_free(&made);
	str_free(&back);
	list_free(&keys);
	return 0;
}
