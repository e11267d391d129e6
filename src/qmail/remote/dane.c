/* DANE for SMTP: see dane.h. */
#include "remote/dane.h"

#include "remote/dns.h"

#include <string.h>
#include <strings.h>

enum { USAGE_TA = 2, USAGE_EE = 3 };
enum { MATCHING_FULL, MATCHING_SHA256, MATCHING_SHA512 };

static bool
usable(const struct tlsa *record)
{
	if ((record->usage != USAGE_TA && record->usage != USAGE_EE) || record->selector > 1)
		return false;
	switch (record->matching) {
	case MATCHING_FULL: return record->len > 0;
	case MATCHING_SHA256: return record->len == 32;
	case MATCHING_SHA512: return record->len == 64;
	default: return false;
	}
}

void
dane_keep_usable(struct tlsa_list *list)
{
	size_t i, kept = 0;

	for (i = 0; i < list->count; i++)
		if (usable(&list->items[i]))
			list->items[kept++] = list->items[i];
	list->count = kept;
}

/* True where there is no more to ask: state is set. */
static bool
ask_for(struct dane *dane, struct dns *dns, unsigned port, const char *name)
{
	enum answer answer = dns_tlsa(dns, port, name, &dane->tlsa);

	if (answer == ANSWER_LATER) {
		dane->state = DANE_LATER;
		strcpy(dane->base, name);
		return true;
	}
	if (answer != ANSWER_FOUND || !dane->tlsa.secure)
		return false;
	dane_keep_usable(&dane->tlsa);
	dane->state = dane->tlsa.count ? DANE_BINDS : DANE_UNUSABLE;
	strcpy(dane->base, name);
	return true;
}

/* An alias in a signed zone may lead out of it: its own records are to be believed all the same
 * (section 2.2.2). True where they are. */
static bool
secure_alias(struct dane *dane, struct dns *dns, const struct target *target)
{
	bool secure;
	enum answer answer;

	if (!strcasecmp(target->name, target->canonical))
		return false;
	answer = dns_alias(dns, target->name, &secure);
	if (answer == ANSWER_LATER) {
		dane->state = DANE_LATER;
		strcpy(dane->base, target->name);
	}
	return answer == ANSWER_FOUND && secure;
}

static void
look(struct dane *dane, struct dns *dns, const struct target *target)
{
	if (target->secure) {
		if (ask_for(dane, dns, target->port, target->canonical) ||
		    !strcasecmp(target->name, target->canonical))
			return;
	} else if (!secure_alias(dane, dns, target)) {
		return;
	}
	ask_for(dane, dns, target->port, target->name);
}

/* The names of section 3.2.2: the base, and where the mail is for, before and behind its aliases.
 */
static void
set_names(struct dane *dane, const char *host, const struct targets *targets)
{
	list_free(&dane->names);
	list_add(&dane->names, dane->base);
	if (strcasecmp(host, dane->base))
		list_add(&dane->names, host);
	if (*targets->canonical && strcasecmp(targets->canonical, host) &&
	    strcasecmp(targets->canonical, dane->base))
		list_add(&dane->names, targets->canonical);
	list_index(&dane->names);
}

void
dane_find(struct dane *dane, const struct settings *settings, const char *host,
    const struct targets *targets, const struct target *target, long long end)
{
	struct dns *dns;

	if (*dane->asked && !strcasecmp(dane->asked, target->name))
		return;
	dane->state = DANE_NONE;
	dane->tlsa.count = 0;
	strcpy(dane->asked, target->name);
	if (!*target->name || !targets->secure)
		return;
	dns = dns_open(&settings->nameservers, end);
	if (dns) {
		look(dane, dns, target);
		dns_close(dns);
	} else {
		dane->state = DANE_LATER;
		strcpy(dane->base, target->name);
	}
	if (dane->state == DANE_BINDS)
		set_names(dane, host, targets);
}
