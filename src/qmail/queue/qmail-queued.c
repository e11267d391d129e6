/*
 * qmail-queued: puts messages into the queue that qmail-smtpd hands over, each as one packet. See
 * qmail-queued(8), and lib/queued.h for what is said. Started by qmail-start, as the queue's owner;
 * ends with qmail-send, whose pipe it has on descriptor 0.
 *
 * It does what qmail-queue does (entry.h), without a process for each message, and has those of a
 * turn written out together. What comes in is hostile: whoever has taken over a qmail-smtpd can
 * hand in messages, as he could before, and nothing else.
 */
#include "lib/bio.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/journal.h"
#include "lib/queued.h"
#include "queue/entry.h"
#include "queue/envelope.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	CLIENTS = 64,  /* that have a place; as many wait for one, and others go to qmail-queue */
	BATCH = 32,    /* messages that are written out together */
	PATIENCE = 10, /* seconds that a client may take to hand in its message */
	NUMBERS = 1000000 /* of messages, before they come again */
};

struct client {
	int fd;
	time_t since;
	bool gone;
	struct entry entry;
	uint64_t number;
};

static struct client clients[CLIENTS];
static size_t count;
static char packet[sizeof(struct queued_head) + QUEUED_MESSAGE_MAX + QUEUED_ENVELOPE_MAX + 1];
static uid_t allowed;

static time_t
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void
drop(size_t at)
{
	close(clients[at].fd);
	clients[at] = clients[--count];
}

/* Who is connected and says nothing makes room after a while. */
static void
drop_idle(void)
{
	const time_t now = seconds();
	size_t at = 0;

	while (at < count)
		if (clients[at].gone || now - clients[at].since > PATIENCE)
			drop(at);
		else
			at++;
}

/* False: nobody was waiting. */
static bool
admit(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (fd < 0)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == allowed)
		clients[count++] = (struct client){.fd = fd, .since = seconds()};
	else
		close(fd);
	return true;
}

/*
 * All who are waiting, since each brings its message at once: what comes together is written out
 * together. For whom there is no place stays where he is, for he may have sent his already.
 */
static void
admit_all(int listener)
{
	size_t met;

	for (met = 0; met < CLIENTS && count < CLIENTS && admit(listener); met++)
		continue;
}

/* A number for the logs: no other message of these days has it. */
static uint64_t
next_number(void)
{
	static uint64_t last;

	last = (last + 1) % NUMBERS;
	return (uint64_t)getpid() * NUMBERS + last;
}

static enum code
write_message(struct client *client, const char *message, size_t len)
{
	char trace[256];
	size_t trace_len =
	    entry_trace(trace, sizeof trace, (unsigned long)client->number, "from network");

	if (!trace_len)
		return CODE_INTERNAL;
	return fd_write_all(client->entry.mess, trace, trace_len) &&
		       fd_write_all(client->entry.mess, message, len)
		   ? CODE_ACCEPTED
		   : CODE_WRITE;
}

static enum code
write_envelope(struct client *client, const char *bytes, size_t len)
{
	static char buffer[QUEUED_ENVELOPE_MAX + 256];
	struct envelope envelope = {.state = ENVELOPE_SENDER};
	size_t used = envelope_feed(&envelope, bytes, len);
	struct out out;

	if (envelope.state == ENVELOPE_LONG)
		return CODE_ADDRESS_LONG;
	if (envelope.state != ENVELOPE_DONE)
		return envelope.state == ENVELOPE_MALFORMED ? CODE_MALFORMED : CODE_READ;
	out_fd(&out, client->entry.intd, buffer, sizeof buffer);
	out_char(&out, 'u');
	out_number(&out, allowed);
	out_bytes(&out, "\0p", 2);
	out_number(&out, (unsigned long)client->number);
	out_char(&out, 0);
	out_bytes(&out, bytes, used);
	return out_flush(&out) ? CODE_ACCEPTED : CODE_WRITE;
}

/* Makes the files of what has come; the entry's code says what was wrong. */
static void
take(struct client *client, size_t len)
{
	struct queued_head head;
	struct entry *entry = &client->entry;
	const char *message = packet + sizeof head, *envelope;

	entry->code = CODE_READ;
	if (len < sizeof head || len >= sizeof packet)
		return;
	memcpy(&head, packet, sizeof head);
	len -= sizeof head;
	if (head.message > len || head.message > QUEUED_MESSAGE_MAX)
		return;
	envelope = message + head.message;
	entry->code = CODE_ACCEPTED;
	client->number = next_number();
	if (!entry_make_mess(entry))
		return;
	entry->code = write_message(client, message, head.message);
	if (!entry->code && entry_make_intd(entry))
		entry->code = write_envelope(client, envelope, len - head.message);
}

static void
answer(struct client *client)
{
	const struct queued_answer answer = {
	    .code = (uint32_t)client->entry.code, .number = client->number};

	(void)!send(client->fd, &answer, sizeof answer, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
close_entry(struct entry *entry)
{
	if (entry->code)
		entry_undo(entry);
	if (entry->mess)
		close(entry->mess);
	if (entry->intd)
		close(entry->intd);
}

/* Enters what the turn's clients have brought, and tells them; the clients are the first ones. */
static void
enter(size_t taken)
{
	struct entry *entries[BATCH] = {NULL};
	bool ordered = false;
	size_t i;

	for (i = 0; i < taken; i++) {
		entries[i] = &clients[i].entry;
		if (!entries[i]->code)
			ordered = journal_orders(entries[i]->mess);
	}
	entries_write_out(entries, taken, ordered);
	entries_enter(entries, taken, ordered);
	for (i = taken; i-- > 0;) {
		close_entry(entries[i]);
		answer(&clients[i]);
		drop(i);
	}
}

/* Takes the client at this place to the others that have brought something. */
static void
gather(size_t at, size_t taken)
{
	struct client other = clients[taken];

	clients[taken] = clients[at];
	clients[at] = other;
}

/* Whether the client has brought something. */
static bool
receive(struct client *client)
{
	ssize_t got = recv(client->fd, packet, sizeof packet, MSG_DONTWAIT);

	if (got > 0)
		take(client, (size_t)got);
	else
		client->gone = got == 0 || (errno != EAGAIN && errno != EINTR);
	return got > 0;
}

/* asked: how many of the clients have a place in waits; the others have just come. */
static void
serve(const struct pollfd *waits, size_t asked)
{
	size_t at, taken = 0;

	for (at = 0; at < count && taken < BATCH; at++)
		if ((at >= asked || waits[at].revents) && receive(&clients[at]))
			gather(at, taken++);
	if (taken)
		enter(taken);
}

/* The name may be that of a predecessor that is still at its last messages; -1: not yet. */
static int
listen_at_queue(void)
{
	struct sockaddr_un address;
	struct stat queue;
	socklen_t len;
	int fd;

	if (stat(".", &queue) < 0)
		_exit(111);
	len = queued_address(&queue, &address);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		_exit(111);
	if (bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, CLIENTS) == 0)
		return fd;
	close(fd);
	return -1;
}

/* False once qmail-send has gone. */
static bool
turn(int listener)
{
	static struct pollfd waits[CLIENTS + 2];
	const size_t asked = count;
	size_t i;

	for (i = 0; i < asked; i++)
		waits[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
	waits[asked] = (struct pollfd){.fd = count < CLIENTS ? listener : -1, .events = POLLIN};
	waits[asked + 1] = (struct pollfd){.fd = 0, .events = POLLIN};
	if (poll(waits, asked + 2, count || listener < 0 ? 1000 : -1) < 0)
		return errno == EINTR;
	if (waits[asked].revents)
		admit_all(listener);
	serve(waits, asked);
	drop_idle();
	return !waits[asked + 1].revents;
}

int
main(void)
{
	int listener = -1;
	bool more = true;

	process_closed();
	/* It ends with qmail-send, and not before: what that is told to do takes its time. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	umask(022);
	if (!home_enter() || chdir("queue") < 0 || !identity_uid(IDENTITY_DAEMON, &allowed))
		return 111;
	while (more) {
		if (listener < 0)
			listener = listen_at_queue();
		more = turn(listener);
	}
	return 0;
}
