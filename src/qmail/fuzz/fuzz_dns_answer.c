/* DNS packets of a hostile resolver; the first byte chooses the question. */
#include "fuzz/fuzz.h"
#include "remote/answer.h"

#include <string.h>

static unsigned sequence;

static unsigned
next_number(void)
{
	return sequence = sequence * 1664525 + 1013904223;
}

static void
mx(const uint8_t *packet, size_t len)
{
	struct mx_list list;
	enum answer result = answer_mx(packet, len, &list, next_number);
	size_t i;

	MUST(list.count <= MX_MAX);
	MUST((result == ANSWER_FOUND) == (list.count || list.null_mx));
	for (i = 0; i < list.count; i++) {
		MUST(list.items[i].name[0]);
		MUST(strnlen(list.items[i].name, sizeof list.items[i].name) <= HOST_NAME_MAX_DNS);
		MUST(i == 0 || list.items[i - 1].preference <= list.items[i].preference);
	}
}

static void
addresses(const uint8_t *packet, size_t len, bool v6)
{
	struct address_list list = {.count = 0};
	enum answer result = answer_addresses(packet, len, v6, &list);
	size_t i;

	MUST((result == ANSWER_FOUND) == (list.count > 0));
	MUST(list.count <= ADDRESS_MAX);
	for (i = 0; i < list.count; i++) {
		struct str text = STR_INIT;

		MUST(v6 || netip_is_v4(&list.items[i]));
		netip_add(&text, &list.items[i]);
		MUST(text.len);
		str_free(&text);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (!len)
		return 0;
	sequence = 0;
	if (bytes[0] % 3 == 0)
		mx(bytes + 1, len - 1);
	else
		addresses(bytes + 1, len - 1, bytes[0] % 3 == 1);
	return 0;
}
