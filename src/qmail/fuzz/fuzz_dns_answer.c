/* DNS packets of a hostile resolver; the first byte chooses the question. */
#include "fuzz/fuzz.h"
#include "remote/dane.h"

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

static void
tlsa(const uint8_t *packet, size_t len)
{
	struct tlsa_list list = TLSA_LIST_INIT;
	enum answer result = answer_tlsa(packet, len, &list);
	size_t i;

	MUST(list.count <= TLSA_MAX);
	MUST(result != ANSWER_FOUND || list.count);
	for (i = 0; i < list.count; i++) {
		MUST(list.items[i].usage < 256 && list.items[i].matching < 256);
		MUST(list.items[i].at <= list.data.len);
		MUST(list.items[i].len <= list.data.len - list.items[i].at);
	}
	dane_keep_usable(&list);
	for (i = 0; i < list.count; i++)
		MUST(list.items[i].len);
	str_free(&list.data);
}

static void
names(const uint8_t *packet, size_t len)
{
	struct list found = LIST_INIT;
	dns_name canonical;
	bool secure;

	MUST((answer_names(packet, len, &found) != ANSWER_FOUND) || found.count);
	MUST(found.count <= ADDRESS_MAX);
	list_free(&found);
	answer_canonical(packet, len, "a.test", &canonical);
	MUST(strnlen(canonical, sizeof canonical) <= HOST_NAME_MAX_DNS);
	MUST(answer_header(packet, len, &secure) != ANSWER_LATER || !secure);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (!len)
		return 0;
	sequence = 0;
	switch (bytes[0] % 5) {
	case 0: mx(bytes + 1, len - 1); break;
	case 1: addresses(bytes + 1, len - 1, true); break;
	case 2: addresses(bytes + 1, len - 1, false); break;
	case 3: tlsa(bytes + 1, len - 1); break;
	default: names(bytes + 1, len - 1);
	}
	return 0;
}
