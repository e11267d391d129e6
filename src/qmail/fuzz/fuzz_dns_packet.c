/* What a resolver answers a door: whatever comes, items are addresses or names of hosts, and few.
 */
#include "fuzz/fuzz.h"
#include "smtpd/dnspacket.h"

#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const uint16_t kinds[] = {DNS_A, DNS_AAAA, DNS_MX, DNS_PTR};
	static struct str query = STR_INIT, answer = STR_INIT;
	struct list items = LIST_INIT;
	enum dnspacket outcome;
	size_t i;

	if (len < 2)
		return 0;
	MUST(dnspacket_query(&query, 0x1234, "a.bc", kinds[bytes[0] % 4]));
	/* Its head and question, so that what follows is read: flags and counts are the input's. */
	str_set_str(&answer, &query);
	answer.s[2] |= (char)0x80;
	answer.s[3] = (char)(bytes[1] & 0x0f);
	answer.s[7] = (char)(bytes[1] >> 4);
	str_add_bytes(&answer, bytes + 2, len - 2);
	outcome = dnspacket_answer(&query, answer.s, answer.len, &items);
	MUST(outcome == DNSPACKET_SOME ? items.count > 0 : true);
	MUST(items.count <= DNSPACKET_ITEMS);
	list_index(&items);
	for (i = 0; i < items.count; i++)
		MUST(*items.items[i] && strlen(items.items[i]) < 256 &&
		     strspn(items.items[i], "abcdefghijklmnopqrstuvwxyz0123456789-_.:") ==
			 strlen(items.items[i]));
	list_free(&items);
	/* And as it comes. */
	dnspacket_answer(&query, (const char *)bytes, len, &items);
	list_free(&items);
	return 0;
}
