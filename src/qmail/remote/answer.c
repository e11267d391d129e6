/* DNS answers about mail: see answer.h. */
#include "remote/answer.h"

#include "lib/mem.h"

/* Later releases of c-ares prefer other names for the functions that both old and new have. */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum answer
answer_status(int status)
{
	switch (status) {
	case ARES_SUCCESS: return ANSWER_FOUND;
	case ARES_ENODATA: return ANSWER_NOTHING;
	case ARES_ENOTFOUND:
	case ARES_EBADNAME: return ANSWER_NO_NAME;
	default: return ANSWER_LATER;
	}
}

struct candidate {
	const struct ares_mx_reply *record;
	unsigned order;
};

static int
by_preference(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->record->priority != b->record->priority)
		return a->record->priority < b->record->priority ? -1 : 1;
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return 0;
}

static bool
names_nothing(const struct ares_mx_reply *record)
{
	return !record->host || !*record->host || !strcmp(record->host, ".");
}

static void
keep_best(const struct ares_mx_reply *records, size_t count, struct mx_list *list,
    unsigned (*random)(void))
{
	struct candidate *all = mem_array(count, sizeof *all);
	const struct ares_mx_reply *record;
	size_t usable = 0, i;

	for (record = records; record; record = record->next) {
		if (names_nothing(record) || strlen(record->host) > HOST_NAME_MAX_DNS)
			continue;
		all[usable++] = (struct candidate){record, random()};
	}
	qsort(all, usable, sizeof *all, by_preference);
	for (i = 0; i < usable && list->count < MX_MAX; i++) {
		struct mx *mx = &list->items[list->count++];

		mx->preference = all[i].record->priority;
		snprintf(mx->name, sizeof mx->name, "%s", all[i].record->host);
	}
	free(all);
}

enum answer
answer_mx(const unsigned char *packet, size_t len, struct mx_list *list, unsigned (*random)(void))
{
	struct ares_mx_reply *records = NULL, *record;
	enum answer result;
	size_t count = 0;

	list->count = 0;
	list->null_mx = false;
	if (len > INT_MAX)
		return ANSWER_LATER;
	result = answer_status(ares_parse_mx_reply(packet, (int)len, &records));
	if (result != ANSWER_FOUND)
		return result;
	for (record = records; record; record = record->next)
		count++;
	if (count)
		keep_best(records, count, list, random);
	list->null_mx = count == 1 && names_nothing(records);
	if (records)
		ares_free_data(records);
	return list->count || list->null_mx ? ANSWER_FOUND : ANSWER_NOTHING;
}

static void
add_v4(struct address_list *list, const struct ares_addrttl *found, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		struct netip *ip = &list->items[list->count++];

		*ip = (struct netip){0};
		ip->a.s6_addr[10] = ip->a.s6_addr[11] = 0xff;
		memcpy(ip->a.s6_addr + 12, &found[i].ipaddr, 4);
	}
}

static void
add_v6(struct address_list *list, const struct ares_addr6ttl *found, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		struct netip *ip = &list->items[list->count++];

		*ip = (struct netip){0};
		memcpy(&ip->a, &found[i].ip6addr, sizeof ip->a);
	}
}

enum answer
answer_addresses(const unsigned char *packet, size_t len, bool v6, struct address_list *list)
{
	struct ares_addrttl found4[ADDRESS_MAX];
	struct ares_addr6ttl found6[ADDRESS_MAX];
	int count = ADDRESS_MAX, status;

	if (len > INT_MAX || list->count > ADDRESS_MAX)
		return ANSWER_LATER;
	if (v6)
		status = ares_parse_aaaa_reply(packet, (int)len, NULL, found6, &count);
	else
		status = ares_parse_a_reply(packet, (int)len, NULL, found4, &count);
	if (status != ARES_SUCCESS)
		return answer_status(status);
	if (count <= 0)
		return ANSWER_NOTHING;
	if (v6)
		add_v6(list, found6, count);
	else
		add_v4(list, found4, count);
	return ANSWER_FOUND;
}
