/*
 * qmail-sign [PROGRAM]: has a message of this site's own signed on its way into the queue, and then
 * becomes qmail-queue or PROGRAM. Message on descriptor 0, envelope on 1, a reason back on 6: see
 * qmail-sign(8).
 *
 * It has no key and no privilege. The message is read to its end, as the signer and then the queue
 * are to have it, and nothing but the signer's fields comes in front of it afterwards. The signer
 * isn't asked before the envelope is complete: whoever is in front of this may refuse till then.
 */
#include "lib/bio.h"
#include "lib/control.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/logword.h"
#include "lib/mem.h"
#include "lib/queued.h"
#include "queue/entry.h"
#include "queue/envelope.h"
#include "sign/signer.h"
#include "sign/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define REASON_FD 6
#define CODE_REASON 82 /* and the reason is on that descriptor */
#define CODE_LATER 71
#define CODE_CONTROL 55
#define ENVELOPE_MOST ((size_t)64 << 20)
#define LIFETIME 86400 /* seconds, as qmail-queue */
#define QUEUE "bin/qmail-queue"

static bool has_reason; /* that descriptor is open for writing */

static const char later[] = "Zthe message can't be signed now, try again later (#4.3.0)";

static _Noreturn void
no_memory(void)
{
	_exit(CODE_MEMORY);
}

/* With words for the log, and others for who has sent the message. */
static _Noreturn void
try_later(const char *why)
{
	struct str text = STR_INIT;

	log_add_text(&text, why, strlen(why));
	say("qmail-sign %ld: deferred: %s\n", (long)getpid(), text.s);
	if (!has_reason || fd_write(REASON_FD, later, sizeof later - 1) != sizeof later - 1)
		_exit(CODE_LATER);
	_exit(CODE_REASON);
}

static void
open_spool(struct spool *spool)
{
	if (!spool_open(spool))
		_exit(CODE_MEMORY);
}

static void
must_write(bool written)
{
	if (!written)
		_exit(CODE_WRITE);
}

static void
read_message(struct spool *message)
{
	static char buffer[65536];
	ssize_t got;

	open_spool(message);
	while ((got = fd_read(0, buffer, sizeof buffer)) > 0)
		must_write(spool_add(message, buffer, (size_t)got));
	if (got < 0)
		_exit(CODE_READ);
	must_write(spool_end(message));
}

/* Up to its end: without it nothing is queued, and nothing needs to be signed. */
static void
read_envelope(struct str *whole)
{
	static char buffer[65536];
	struct envelope envelope = {.state = ENVELOPE_SENDER};

	do {
		ssize_t got = fd_read(1, buffer, sizeof buffer);

		if (got <= 0)
			_exit(CODE_READ);
		str_add_bytes(whole, buffer, envelope_feed(&envelope, buffer, (size_t)got));
		if (whole->len > ENVELOPE_MOST)
			_exit(CODE_MEMORY);
	} while (envelope.state < ENVELOPE_DONE);
	if (envelope.state == ENVELOPE_LONG)
		_exit(CODE_ADDRESS_LONG);
	if (envelope.state == ENVELOPE_MALFORMED)
		_exit(CODE_MALFORMED);
	str_add_char(whole, 0);
}

/* The signer's fields; none where there is no signer. */
static void
sign(const struct spool *message, struct str *fields)
{
	struct str path = STR_INIT, why = STR_INIT;

	if (control_line("signsocket", &path) == CONTROL_ERROR)
		_exit(CODE_CONTROL);
	if (path.len && !signer_ask(path.s, message->fd, fields, &why))
		try_later(why.s);
	str_free(&path);
	str_free(&why);
}

/* All of the message behind what to has already. */
static void
add_message(struct str *to, const struct spool *message)
{
	off_t at = 0;

	str_reserve(to, (size_t)message->len);
	while (at < message->len) {
		char part[8192];
		ssize_t got = spool_read(message, part, sizeof part, at);

		if (got <= 0)
			_exit(CODE_READ);
		str_add_bytes(to, part, (size_t)got);
		at += got;
	}
}

/* qmail-queued serves qmaild alone. */
static bool
may_ask_queued(void)
{
	uid_t daemon;

	return identity_uid(IDENTITY_DAEMON, &daemon) && geteuid() == daemon;
}

/* Ends where qmail-queued has had the message; what it calls it is told on the reason's descriptor.
 */
static void
try_queued(const struct str *fields, const struct spool *message, const struct str *envelope)
{
	struct str whole = STR_INIT, number = STR_INIT;
	struct queued_answer answer;

	if (message->len + (off_t)fields->len > QUEUED_MESSAGE_MAX ||
	    envelope->len > QUEUED_ENVELOPE_MAX || !may_ask_queued())
		return;
	str_set_str(&whole, fields);
	add_message(&whole, message);
	switch (queued_put(&whole, envelope, &answer)) {
	case QUEUED_ELSEWHERE: str_free(&whole); return;
	case QUEUED_LOST: _exit(CODE_INTERNAL);
	case QUEUED_ANSWERED: break;
	}
	if (answer.code == CODE_ACCEPTED) {
		str_addf(&number, "K%llu", (unsigned long long)answer.number);
		if (has_reason)
			(void)!fd_write(REASON_FD, number.s, number.len);
	}
	_exit((int)answer.code);
}

/* What the message is with its fields, in a file that is read from its begin. */
static void
join(const struct str *fields, struct spool *message)
{
	struct spool signed_one;
	char part[65536];
	off_t at = 0;

	if (!fields->len) {
		must_write(lseek(message->fd, 0, SEEK_SET) == 0);
		return;
	}
	open_spool(&signed_one);
	must_write(spool_add_raw(&signed_one, fields->s, fields->len));
	while (at < message->len) {
		ssize_t got = spool_read(message, part, sizeof part, at);

		if (got <= 0)
			_exit(CODE_READ);
		must_write(spool_add_raw(&signed_one, part, (size_t)got));
		at += got;
	}
	must_write(spool_end(&signed_one));
	spool_close(message);
	*message = signed_one;
}

static _Noreturn void
become(char *program, const struct spool *message, const struct spool *envelope)
{
	char *const arguments[] = {program, NULL};

	if (dup2(message->fd, 0) < 0 || dup2(envelope->fd, 1) < 0)
		_exit(CODE_INTERNAL);
	alarm(0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	execv(program, arguments);
	say("qmail-sign %ld: %s: %s\n", (long)getpid(), program, strerror(errno));
	_exit(CODE_INTERNAL);
}

/* Before anything is opened: what is here by that number then is somebody's. */
static void
look_at_descriptors(void)
{
	const int flags = fcntl(REASON_FD, F_GETFL);

	has_reason = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
	if (!descriptor_given(0) || !descriptor_given(1))
		_exit(CODE_READ);
	if (fcntl(2, F_GETFL) < 0 && open("/dev/null", O_WRONLY) != 2)
		_exit(CODE_INTERNAL);
}

static void
settle(void)
{
	mem_exhausted = no_memory;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
	alarm(LIFETIME);
	if (!home_enter())
		_exit(CODE_HOME);
}

int
main(int argc, char **argv)
{
	static char queue[] = QUEUE;
	struct spool message, envelope_file;
	struct str envelope = STR_INIT, fields = STR_INIT;

	process_closed();
	look_at_descriptors();
	settle();
	read_message(&message);
	read_envelope(&envelope);
	sign(&message, &fields);
	if (argc < 2)
		try_queued(&fields, &message, &envelope);
	join(&fields, &message);
	open_spool(&envelope_file);
	must_write(
	    spool_add_raw(&envelope_file, envelope.s, envelope.len) && spool_end(&envelope_file));
	become(argc < 2 ? queue : argv[1], &message, &envelope_file);
}
