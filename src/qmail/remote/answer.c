/* DNS answers about mail: see answer.h. */
#include "remote/answer.h"

#include "lib/mem.h"

/* Later releases of c-ares prefer other names for the functions that both old and new have. */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <arpa/nameser.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

enum answer
answer_header(const unsigned char *packet, size_t len, bool *secure)
{
	*secure = false;
	if (len < NS_HFIXEDSZ)
		return ANSWER_LATER;
	*secure = packet[3] & 0x20;
	switch (packet[3] & 0x0f) {
	case ns_r_noerror: return packet[6] || packet[7] ? ANSWER_FOUND : ANSWER_NOTHING;
	case ns_r_nxdomain: return ANSWER_NO_NAME;
	default: *secure = false; return ANSWER_LATER;
	}
}

/* --- Records, one after the other ------------------------------------------------------ */

#define NAMES_MAX 64 /* CNAME records that are looked at */

struct records {
	const unsigned char *packet;
	size_t len, at;
	unsigned left; /* of the answer section */
};

struct record {
	char *owner; /* by c-ares */
	unsigned type, class;
	size_t data, len; /* all of it is within the packet */
};

static unsigned
number_at(const struct records *records, size_t at)
{
	return (unsigned)records->packet[at] << 8 | records->packet[at + 1];
}

/* The name at this place, to be freed by ares_free_string, and the place behind it; or NULL. */
static char *
name_at(const struct records *records, size_t at, size_t *behind)
{
	char *name = NULL;
	long used = 0;

	if (at >= records->len || ares_expand_name(records->packet + at, records->packet,
				      (int)records->len, &name, &used) != ARES_SUCCESS)
		return NULL;
	*behind = at + (size_t)used;
	return name;
}

/* To the first record of the answer section; false for what is none. */
static bool
records_open(struct records *records, const unsigned char *packet, size_t len)
{
	unsigned questions;

	*records = (struct records){.packet = packet, .len = len, .at = NS_HFIXEDSZ};
	if (len < NS_HFIXEDSZ || len > INT_MAX)
		return false;
	questions = number_at(records, 4);
	records->left = number_at(records, 6);
	while (questions--) {
		char *name = name_at(records, records->at, &records->at);

		if (!name)
			return false;
		ares_free_string(name);
		records->at += NS_QFIXEDSZ;
	}
	return true;
}

/* True with a record, whose owner is to be freed by record_done; false at the end. *broken tells
 * which end it is. */
static bool
record_next(struct records *records, struct record *record, bool *broken)
{
	size_t fixed;

	*broken = false;
	if (!records->left)
		return false;
	records->left--;
	*broken = true;
	record->owner = name_at(records, records->at, &fixed);
	if (!record->owner)
		return false;
	if (records->len < NS_RRFIXEDSZ || fixed > records->len - NS_RRFIXEDSZ) {
		ares_free_string(record->owner);
		return false;
	}
	record->type = number_at(records, fixed);
	record->class = number_at(records, fixed + 2);
	record->len = number_at(records, fixed + 8);
	record->data = fixed + NS_RRFIXEDSZ;
	if (record->len > records->len - record->data) {
		ares_free_string(record->owner);
		return false;
	}
	records->at = record->data + record->len;
	*broken = false;
	return true;
}

static void
record_done(struct record *record)
{
	ares_free_string(record->owner);
}

/* Where an alias of this name leads, or NULL; to be freed by ares_free_string. */
static char *
alias_of(const unsigned char *packet, size_t len, const char *name)
{
	struct records records;
	struct record record;
	char *found = NULL;
	size_t behind;
	bool broken;

	if (!records_open(&records, packet, len))
		return NULL;
	while (!found && record_next(&records, &record, &broken)) {
		if (record.type == ns_t_cname && record.class == ns_c_in &&
		    !strcasecmp(record.owner, name))
			found = name_at(&records, record.data, &behind);
		record_done(&record);
	}
	return found;
}

void
answer_canonical(const unsigned char *packet, size_t len, const char *name, dns_name *canonical)
{
	unsigned steps;

	if (strlen(name) > HOST_NAME_MAX_DNS) {
		**canonical = 0;
		return;
	}
	strcpy(*canonical, name);
	for (steps = 0; steps < NAMES_MAX; steps++) {
		char *next = alias_of(packet, len, *canonical);
		bool fits = next && *next && strlen(next) <= HOST_NAME_MAX_DNS;

		if (!next)
			return;
		if (fits)
			strcpy(*canonical, next);
		ares_free_string(next);
		if (!fits)
			break;
	}
	**canonical = 0;
}

/* --- Mail exchangers ------------------------------------------------------------------- */

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

static void
add_tlsa(struct tlsa_list *list, const unsigned char *data, size_t len)
{
	struct tlsa *record;

	if (list->count == TLSA_MAX)
		return;
	record = &list->items[list->count++];
	/* One that is too short is there all the same, and of no use. */
	*record =
	    (struct tlsa){.usage = 255, .selector = 255, .matching = 255, .at = list->data.len};
	if (len < 3)
		return;
	record->usage = data[0];
	record->selector = data[1];
	record->matching = data[2];
	record->len = len - 3;
	str_add_bytes(&list->data, data + 3, len - 3);
}

enum answer
answer_tlsa(const unsigned char *packet, size_t len, struct tlsa_list *list)
{
	struct records records;
	struct record record;
	bool broken;

	list->count = 0;
	str_clear(&list->data);
	if (!records_open(&records, packet, len))
		return ANSWER_LATER;
	while (record_next(&records, &record, &broken)) {
		if (record.type == ns_t_tlsa && record.class == ns_c_in)
			add_tlsa(list, packet + record.data, record.len);
		record_done(&record);
	}
	/* A part of them could be the part that nobody holds a key to. */
	if (broken)
		return ANSWER_LATER;
	return list->count ? ANSWER_FOUND : ANSWER_NOTHING;
}

enum answer
answer_names(const unsigned char *packet, size_t len, struct list *names)
{
	struct records records;
	struct record record;
	size_t behind, count = 0;
	bool broken;

	if (!records_open(&records, packet, len))
		return ANSWER_LATER;
	while (record_next(&records, &record, &broken)) {
		char *name = NULL;

		if (record.type == ns_t_ptr && record.class == ns_c_in && count < ADDRESS_MAX)
			name = name_at(&records, record.data, &behind);
		if (name && *name && strlen(name) <= HOST_NAME_MAX_DNS) {
			list_add(names, name);
			count++;
		}
		if (name)
			ares_free_string(name);
		record_done(&record);
	}
	if (broken)
		return ANSWER_LATER;
	return count ? ANSWER_FOUND : ANSWER_NOTHING;
}
