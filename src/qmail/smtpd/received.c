/* The Received field: see received.h. */
#include "smtpd/received.h"

#include "lib/when.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	NAME_MAX_SHOWN = 255, /* bytes of a name that somebody else chose */
};

/* The text in bytes that no reader of a field takes for anything but a word; others become '?'. */
static void
add_safe(struct str *to, const char *text, const char *more)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789.-_:";
	size_t i;

	for (i = 0; text[i] && i < NAME_MAX_SHOWN; i++)
		str_add_char(to, strchr(plain, text[i]) || strchr(more, text[i]) ? text[i] : '?');
}

/*
 * What follows these is the envelope's sender for SpamAssassin, wherever in the field they stand:
 * in the name of a client they lose their hyphen.
 */
static void
defuse(struct str *text, size_t from)
{
	static const char *const words[] = {"envelope-from", "envelope-sender", "return-path"};
	size_t i;

	for (; from < text->len; from++)
		for (i = 0; i < sizeof words / sizeof *words; i++)
			if (!strncasecmp(text->s + from, words[i], strlen(words[i])))
				*strchr(text->s + from, '-') = '?';
}

/* In small letters: SpamAssassin goes by names such as "Exim" to know who wrote the field. */
static void
add_lower(struct str *to, const char *text, const char *more)
{
	size_t from = to->len;

	add_safe(to, text, more);
	for (; from < to->len; from++)
		if (to->s[from] >= 'A' && to->s[from] <= 'Z')
			to->s[from] = (char)(to->s[from] - 'A' + 'a');
}

static bool
is_address(int family, const char *text)
{
	unsigned char binary[sizeof(struct in6_addr)];

	return inet_pton(family, text, binary) == 1;
}

/* Whether it is [192.0.2.1] or [IPv6:2001:db8::1]. */
static bool
is_literal(const struct str *name)
{
	char inside[INET6_ADDRSTRLEN];

	if (name->len < 3 || name->len - 2 >= sizeof "IPv6:" - 1 + sizeof inside ||
	    name->s[0] != '[' || name->s[name->len - 1] != ']')
		return false;
	if (!str_starts_nocase(name, "[IPv6:")) {
		snprintf(inside, sizeof inside, "%.*s", (int)name->len - 2, name->s + 1);
		return is_address(AF_INET, inside);
	}
	snprintf(inside, sizeof inside, "%.*s", (int)name->len - 7, name->s + 6);
	return is_address(AF_INET6, inside);
}

/* Gives whether there was one. */
static bool
add_address(struct str *to, const char *ip)
{
	char address[INET6_ADDRSTRLEN];
	bool four;

	/* Without the zone of a link-local address. */
	snprintf(address, sizeof address, "%.*s", (int)strcspn(ip, "%"), ip);
	four = is_address(AF_INET, address);
	if (!four && !is_address(AF_INET6, address)) {
		str_add(to, "unknown");
		return false;
	}
	str_addf(to, "[%s%s]", four ? "" : "IPv6:", address);
	return true;
}

/* RFC 6409 section 8 lets us: where our users are, and by what name they log in, is nobody's
 * matter. */
static bool
is_private(const struct session *s)
{
	return session_authenticated(s) && !s->config.received_client;
}

/* What the client says that it is, in front of what is known of it. */
static void
add_client(struct str *to, const struct session *s)
{
	struct str known = STR_INIT;
	size_t from;
	bool addressed;

	if (is_private(s)) {
		str_add(to, "authenticated");
		return;
	}
	add_lower(&known, s->client.host, "");
	defuse(&known, 0);
	str_add_char(&known, ' ');
	addressed = add_address(&known, s->client.ip);
	from = to->len;
	if (!s->greeted || !s->helo.len)
		str_add(to, "unknown");
	else
		add_safe(to, s->helo.s, addressed && is_literal(&s->helo) ? "[]" : "");
	defuse(to, from);
	str_addf(to, " (%s)", known.s);
	str_free(&known);
}

static void
add_protocol(struct str *to, const struct session *s)
{
	bool encrypted = session_encrypted(s), authenticated = session_authenticated(s);

	str_add(to, s->extended || encrypted || authenticated ? "ESMTP" : "SMTP");
	if (encrypted)
		str_add_char(to, 'S');
	if (authenticated)
		str_add_char(to, 'A');
	if (s->chan.protocol) {
		str_add(to, " (");
		add_safe(to, s->chan.protocol, "");
		str_add_char(to, ' ');
		add_safe(to, s->chan.cipher, "");
		str_add_char(to, ')');
	} else if (s->client.front) {
		str_add(to, " (TLS by ");
		add_safe(to, s->client.front, "");
		str_add_char(to, ')');
	}
}

/* Who the user is, and the envelope's sender, for the checks that go by it. */
static void
add_people(struct str *to, const struct session *s)
{
	static const char more[] = "@%+/=";

	if (session_authenticated(s) && !is_private(s)) {
		str_add(to, " (authenticated as ");
		add_safe(to, s->user.s, more);
		str_add_char(to, ')');
	} else if (*s->client.info && !is_private(s)) {
		str_add(to, " (ident ");
		add_lower(to, s->client.info, more);
		str_add_char(to, ')');
	}
	if (s->sender.len) {
		size_t len = s->sender.len;

		str_add(to, " (envelope-from <");
		/* It is the domain at the end that must not get lost. */
		add_lower(
		    to, s->sender.s + (len > NAME_MAX_SHOWN ? len - NAME_MAX_SHOWN : 0), more);
		str_add(to, ">)");
	}
}

void
received_add(struct str *to, const struct session *s, time_t when)
{
	str_add(to, "Received: from ");
	add_client(to, s);
	str_add(to, "\n  by ");
	add_safe(to, s->client.local, "");
	str_add(to, " with ");
	add_protocol(to, s);
	add_people(to, s);
	str_add(to, "; ");
	when_822(to, when);
	str_add_char(to, '\n');
}
