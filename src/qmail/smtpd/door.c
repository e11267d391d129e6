/* What is asked of a stranger: see door.h. */
#include "smtpd/door.h"

#include "lib/clock.h"
#include "lib/control.h"
#include "lib/netip.h"
#include "smtpd/lookup.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* The kernel is asked once: it goes through all interfaces, which costs more than all the rest of a
 * recipient. */
static bool
is_from_here(const struct session *s)
{
	static bool known, here;
	struct netip ip;

	if (!known)
		here = netip_parse(s->client.ip, &ip) && netip_is_me(&ip);
	known = true;
	return here;
}

static bool
is_ours(const struct session *s)
{
	return session_relay(s) || is_from_here(s);
}

/* The DNS has a say. */
static bool
asks_dns(const struct session *s)
{
	return s->config.helo_check == HELO_RESOLVES || s->config.reverse_check != REVERSE_ANY;
}

/* Whoever has an account, or a network, that answers for it; or the last places, which nobody may
 * keep for nothing. */
static bool
greeted_at_once(const struct session *s)
{
	return !s->config.greet_delay || is_ours(s) || s->client.crowded ||
	       s->client.auth_required || s->client.tls_at_once || s->client.front;
}

void
door_wait(struct session *s)
{
	ssize_t got;
	char byte;

	if (greeted_at_once(s) || fd_wait(s->chan.in, POLLIN, (unsigned)s->config.greet_delay) < 0)
		return;
	got = recv(s->chan.in, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != ENOTSOCK))
		session_end(s, 1);
	note(s, "ended: the client spoke before the greeting");
	session_abort(s, "554 you must wait for the greeting (#5.5.1)");
}

static bool
is_our_name(const struct session *s, const char *name)
{
	const size_t greeting = strcspn(s->config.greeting.s, " ");
	struct str me = STR_INIT;
	bool ours;

	ours = control_line("me", &me) == CONTROL_OK && str_equal_nocase(&me, name);
	str_free(&me);
	return ours || !strcasecmp(name, s->client.local) ||
	       (strlen(name) == greeting && !strncasecmp(name, s->config.greeting.s, greeting));
}

static bool
is_our_address(const char *name)
{
	struct netip ip;

	return (netip_parse_literal(name, &ip) || netip_parse(name, &ip)) && netip_is_me(&ip);
}

/* With a dot at its end a name is the same one. */
static bool
is_us(const struct session *s, const char *name)
{
	struct str bare = STR_INIT;
	bool ours;

	str_set(&bare, name);
	while (bare.len && bare.s[bare.len - 1] == '.')
		str_cut(&bare, bare.len - 1);
	ours = is_our_name(s, bare.s) || is_our_address(bare.s);
	str_free(&bare);
	return ours;
}

/* RFC 5321 section 4.1.2, and an underline, which some hosts have. */
static bool
is_label(const char *label, size_t len)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	return len && len < 64 && strspn(label, plain) >= len && label[0] != '-' &&
	       label[len - 1] != '-';
}

/* Of two labels or more, the last of which isn't a number. */
static bool
is_host_name(const char *name)
{
	size_t labels = 0, len = 0;

	for (;;) {
		len = strcspn(name, ".");
		if (!is_label(name, len))
			return false;
		labels++;
		if (!name[len] || !name[len + 1])
			break;
		name += len + 1;
	}
	return labels > 1 && strspn(name, "0123456789") < len;
}

static bool
is_literal(const char *name)
{
	struct netip ip;

	return netip_parse_literal(name, &ip);
}

static const char *
helo_objection(const struct session *s)
{
	const char *name = s->helo.s;

	if (s->config.helo_check == HELO_ANY)
		return NULL;
	if (is_us(s, name))
		return "550 you say in HELO that you are me (#5.7.1)";
	if (s->config.helo_check == HELO_NOT_OURS || is_literal(name))
		return NULL;
	if (!is_host_name(name))
		return "550 what you say in HELO is no host's whole name, nor an address (#5.7.1)";
	if (s->config.helo_check == HELO_RESOLVES && lookup_host(name) == LOOKUP_NO)
		return "550 the DNS has no host of the name that you say in HELO (#5.7.1)";
	return NULL;
}

/* Where it is known the Received field has it, in the place of what tcpserver has found. */
static const char *
reverse_objection(struct session *s)
{
	static struct str name = STR_INIT;
	enum lookup found;

	if (s->config.reverse_check == REVERSE_ANY)
		return NULL;
	found = lookup_reverse(s->client.ip, &name);
	s->client.host = found == LOOKUP_YES ? name.s : "unknown";
	if (s->config.reverse_check == REVERSE_NEEDED && found == LOOKUP_NO)
		return "550 your address has no name that leads back to it (#5.7.25)";
	return NULL;
}

const char *
door_objection(struct session *s)
{
	static struct str judged = STR_INIT;
	static const char *helo, *reverse;
	static bool known;
	const char *objection;

	/* Else it is looked at only where there is an objection. */
	if (asks_dns(s) && is_ours(s))
		return NULL;
	if (!known)
		reverse = reverse_objection(s);
	if (!known || !str_equal_str(&judged, &s->helo)) {
		str_set_str(&judged, &s->helo);
		helo = helo_objection(s);
	}
	known = true;
	objection = helo ? helo : reverse;
	return objection && !is_ours(s) ? objection : NULL;
}
