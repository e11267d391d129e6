/* qmail-send's side of a spawner: see courier.h. */
#include "send/courier.h"

#include "lib/bio.h"
#include "lib/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static unsigned
number_at(const char *bytes)
{
	return (unsigned)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
}

bool
courier_open(struct courier *courier, int to, int from, unsigned wanted)
{
	char hello[2];
	size_t have = 0;
	unsigned i;

	while (have < sizeof hello) {
		ssize_t got = fd_read(from, hello + have, sizeof hello - have);

		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	*courier = (struct courier){.to = to,
	    .from = from,
	    .outgoing = STR_INIT,
	    .incoming = STR_INIT,
	    .limit = number_at(hello)};
	if (courier->limit > wanted)
		courier->limit = wanted;
	courier->slots = mem_array(courier->limit, sizeof *courier->slots);
	courier->idle = mem_array(courier->limit, sizeof *courier->idle);
	for (i = 0; i < courier->limit; i++) {
		courier->slots[i].recipient = (struct str)STR_INIT;
		courier->idle[i] = courier->limit - 1 - i;
	}
	return fcntl(to, F_SETFL, O_NONBLOCK) == 0 && fcntl(from, F_SETFL, O_NONBLOCK) == 0;
}

struct delivery *
courier_start(struct courier *courier, struct message *message, const char *sender,
    const char *recipient, size_t at)
{
	unsigned slot = courier->idle[courier->limit - ++courier->busy];
	struct delivery *delivery = &courier->slots[slot];

	delivery->message = message;
	delivery->at = at;
	delivery->holder = NULL;
	str_set(&delivery->recipient, recipient);
	str_add_char(&courier->outgoing, (char)(slot >> 8));
	str_add_char(&courier->outgoing, (char)(slot & 255));
	str_add_number(&courier->outgoing, message->id);
	str_add_char(&courier->outgoing, 0);
	str_add_bytes(&courier->outgoing, sender, strlen(sender) + 1);
	str_add_bytes(&courier->outgoing, recipient, strlen(recipient) + 1);
	return delivery;
}

void
courier_end(struct courier *courier, struct delivery *delivery)
{
	delivery->message = NULL;
	courier->idle[courier->limit - courier->busy--] = (unsigned)(delivery - courier->slots);
}

bool
courier_write(struct courier *courier)
{
	while (courier->sent < courier->outgoing.len) {
		ssize_t put = fd_write(courier->to, courier->outgoing.s + courier->sent,
		    courier->outgoing.len - courier->sent);

		if (put <= 0)
			return put < 0 && errno == EAGAIN;
		courier->sent += (size_t)put;
	}
	str_clear(&courier->outgoing);
	courier->sent = 0;
	return true;
}

bool
courier_read(struct courier *courier)
{
	char buffer[16384];
	ssize_t got = fd_read(courier->from, buffer, sizeof buffer);

	if (got < 0)
		return errno == EAGAIN;
	str_add_bytes(&courier->incoming, buffer, (size_t)got);
	return got > 0;
}

const char *
courier_report(struct courier *courier, size_t *at, struct delivery **delivery)
{
	const char *start = courier->incoming.s + *at;
	size_t left = courier->incoming.len - *at;
	const char *end = left > 2 ? memchr(start + 2, 0, left - 2) : NULL;
	unsigned slot;

	if (!end)
		return NULL;
	slot = number_at(start);
	*at += (size_t)(end - start) + 1;
	*delivery =
	    slot < courier->limit && courier->slots[slot].message ? &courier->slots[slot] : NULL;
	return start + 2;
}

void
courier_drop(struct courier *courier, size_t at)
{
	memmove(courier->incoming.s, courier->incoming.s + at, courier->incoming.len - at);
	str_cut(&courier->incoming, courier->incoming.len - at);
}
