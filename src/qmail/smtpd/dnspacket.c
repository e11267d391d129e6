/* DNS packets: see dnspacket.h. */
#include "smtpd/dnspacket.h"

#include "lib/netip.h"

#include <arpa/inet.h>
#include <string.h>

#define HEAD 12
#define LABEL_MAX 63
#define NAME_MAX_ENCODED 255
#define CLASS_IN 1
#define POINTERS_MAX 16
#define IS_ANSWER 0x8000
#define IS_CUT 0x0200
#define CODE 0x000f
#define NO_SUCH_NAME 3

struct packet {
	const unsigned char *bytes;
	size_t len, at;
};

static void
add_number(struct str *to, unsigned number)
{
	str_add_char(to, (char)(number >> 8));
	str_add_char(to, (char)(number & 0xff));
}

static bool
add_name(struct str *to, const char *name)
{
	const size_t start = to->len;

	while (*name) {
		const size_t len = strcspn(name, ".");

		if (!len || len > LABEL_MAX)
			return false;
		str_add_char(to, (char)len);
		str_add_bytes(to, name, len);
		name += len + (name[len] == '.');
	}
	str_add_char(to, 0);
	return to->len - start <= NAME_MAX_ENCODED;
}

bool
dnspacket_query(struct str *to, uint16_t id, const char *name, uint16_t kind)
{
	str_clear(to);
	add_number(to, id);
	add_number(to, 0x0100); /* recursion is desired */
	add_number(to, 1);
	add_number(to, 0);
	add_number(to, 0);
	add_number(to, 0);
	if (!*name || !add_name(to, name))
		return false;
	add_number(to, kind);
	add_number(to, CLASS_IN);
	return true;
}

static unsigned
number_at(const unsigned char *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

/* Reads a name that begins at p->at, and moves that behind it; text may be NULL. */
static bool
read_name(struct packet *p, struct str *text)
{
	size_t at = p->at, pointers = 0, total = 0;

	for (;;) {
		unsigned len;

		if (at >= p->len)
			return false;
		len = p->bytes[at];
		if (len >= 0xc0) {
			if (at + 2 > p->len || ++pointers > POINTERS_MAX)
				return false;
			if (pointers == 1)
				p->at = at + 2;
			at = number_at(p->bytes + at) & 0x3fff;
			continue;
		}
		if (len > LABEL_MAX || at + 1 + len > p->len ||
		    (total += len + 1) > NAME_MAX_ENCODED)
			return false;
		at += 1 + len;
		if (!len)
			break;
		if (text && text->len)
			str_add_char(text, '.');
		if (text)
			str_add_bytes(text, p->bytes + at - len, len);
	}
	if (!pointers)
		p->at = at;
	return true;
}

static void
add_address(struct list *items, int family, const unsigned char *bytes)
{
	char text[INET6_ADDRSTRLEN];
	struct str shown = STR_INIT;
	struct netip ip;

	inet_ntop(family, bytes, text, sizeof text);
	if (netip_parse(text, &ip)) {
		netip_add(&shown, &ip);
		list_add(items, shown.s);
	}
	str_free(&shown);
}

/* A name that can be shown and asked for: what else is in a label is nobody's host. */
static void
add_host(struct list *items, struct packet *p)
{
	struct str name = STR_INIT;

	if (read_name(p, &name) && name.len && !str_has_nul(&name) &&
	    strspn(name.s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
		name.len) {
		str_lower(&name);
		list_add(items, name.s);
	}
	str_free(&name);
}

static void
add_item(struct list *items, unsigned kind, struct packet *p, size_t len)
{
	const unsigned char *bytes = p->bytes + p->at;

	if (kind == DNS_A && len == 4)
		add_address(items, AF_INET, bytes);
	else if (kind == DNS_AAAA && len == 16)
		add_address(items, AF_INET6, bytes);
	else if (kind == DNS_PTR)
		add_host(items, p);
	else if (kind == DNS_MX && len > 2) {
		p->at += 2;
		add_host(items, p);
	}
}

/* The records of the answer; false where they are not what a packet has. */
static bool
read_records(struct packet *p, unsigned count, unsigned kind, struct list *items)
{
	for (; count; count--) {
		const unsigned char *head;
		size_t len, end;

		if (!read_name(p, NULL) || p->len - p->at < 10)
			return false;
		head = p->bytes + p->at;
		len = number_at(head + 8);
		p->at += 10;
		if (len > p->len - p->at)
			return false;
		end = p->at + len;
		if (number_at(head) == kind && number_at(head + 2) == CLASS_IN &&
		    items->count < DNSPACKET_ITEMS)
			add_item(items, kind, p, len);
		p->at = end;
	}
	return true;
}

/* The same question: names are compared as they were sent, which every server gives back. */
static bool
is_answer(const struct str *query, const unsigned char *bytes, size_t len)
{
	return len >= query->len && !memcmp(bytes, query->s, 2) &&
	       (number_at(bytes + 2) & IS_ANSWER) && number_at(bytes + 4) == 1 &&
	       !memcmp(query->s + HEAD, bytes + HEAD, query->len - HEAD);
}

enum dnspacket
dnspacket_answer(const struct str *query, const char *answer, size_t len, struct list *items)
{
	const unsigned char *bytes = (const unsigned char *)answer;
	struct packet p = {bytes, len, query->len};
	const size_t before = items->count;
	unsigned flags;

	if (query->len < HEAD + 5 || !is_answer(query, bytes, len))
		return DNSPACKET_OTHER;
	flags = number_at(bytes + 2);
	if ((flags & CODE) == NO_SUCH_NAME)
		return DNSPACKET_NONE;
	if (flags & CODE)
		return DNSPACKET_FAILED;
	if (!read_records(&p, number_at(bytes + 6),
		number_at((const unsigned char *)query->s + query->len - 4), items) &&
	    !(flags & IS_CUT))
		return DNSPACKET_FAILED;
	if (items->count > before)
		return DNSPACKET_SOME;
	return flags & IS_CUT ? DNSPACKET_FAILED : DNSPACKET_NONE;
}
