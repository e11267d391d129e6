/*
 * qmail-send: delivers what is in the queue. Started by qmail-start, see qmail-send(8);
 * the parts are in state.h.
 */
#include "lib/bio.h"
#include "lib/controls.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/journal.h"
#include "lib/mem.h"
#include "lib/queuefs.h"
#include "queue/cleaner.h"
#include "send/attempt.h"
#include "send/connections.h"
#include "send/ending.h"
#include "send/intake.h"
#include "send/scan.h"
#include "send/sendlog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t asked_to_leave, asked_to_hurry, asked_to_reload;

static void
note_signal(int number)
{
	switch (number) {
	case SIGTERM: asked_to_leave = 1; break;
	case SIGALRM: asked_to_hurry = 1; break;
	default: asked_to_reload = 1;
	}
}

/* Signals come only while waiting, in ppoll. */
static void
settle_signals(sigset_t *normal)
{
	struct sigaction note = {.sa_handler = note_signal};
	sigset_t ours;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigaction(SIGTERM, &note, NULL);
	sigaction(SIGALRM, &note, NULL);
	sigaction(SIGHUP, &note, NULL);
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGALRM);
	sigaddset(&ours, SIGHUP);
	sigprocmask(SIG_BLOCK, &ours, NULL);
	sigemptyset(normal);
}

static void
no_memory(void)
{
	static const char text[] = "alert: out of memory, sleeping\n";

	fd_write_all(LOG_FD, text, sizeof text - 1);
	sleep(10);
}

static _Noreturn void
cannot_start(const char *why, const char *detail)
{
	log_line("alert: cannot start: %s%s%s", why, detail ? ": " : "", detail ? detail : "");
	log_flush();
	_exit(111);
}

/* Held for as long as this process lives; children do not inherit it. */
static void
lock_queue(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(QUEUE_SENDMUTEX, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		cannot_start("can't open queue/" QUEUE_SENDMUTEX, strerror(errno));
	if (fcntl(fd, F_SETLK, &lock) < 0)
		cannot_start("qmail-send is already running", NULL);
}

static unsigned long
number(const char *name)
{
	unsigned long value;

	if (!controls_number(name, &value))
		cannot_start("can't use a control file", name);
	return value;
}

/* A struct of zeroes, but for the strings and lists. */
static void
prepare(struct send *s)
{
	const struct str empty = STR_INIT;
	const struct list nothing = LIST_INIT;
	int i;

	s->routes = (struct routes){nothing, nothing, nothing, empty};
	s->names = (struct bounce_names){empty, empty, empty, empty, false, 0};
	for (i = 0; i < CHANNEL_COUNT; i++)
		s->readers[i].sender = empty;
	for (i = 0; i < BOUNCE_JOBS; i++)
		s->jobs[i].answer = empty;
}

static void
load_controls(struct send *s, unsigned wanted[CHANNEL_COUNT])
{
	const char *bad = routes_load(&s->routes);

	if (!bad)
		bad = bounce_names_load(&s->names);
	if (bad)
		cannot_start("can't use a control file", bad);
	s->lifetime = (time_t)number("queuelifetime");
	s->names.body_max = number("bouncebody");
	wanted[CHANNEL_LOCAL] = (unsigned)number("concurrencylocal");
	wanted[CHANNEL_REMOTE] = (unsigned)number("concurrencyremote");
	share_open(&s->shares[CHANNEL_LOCAL],
	    share_size(wanted[CHANNEL_LOCAL], number("concurrencyuser")));
	share_open(&s->shares[CHANNEL_REMOTE],
	    share_size(wanted[CHANNEL_REMOTE], number("concurrencydomain")));
	/* Read by qmail-lspawn, which has no log of its own. */
	if (!number("timeoutprogram"))
		cannot_start("can't use a control file", "timeoutprogram");
}

static void
meet_helpers(struct send *s, const unsigned wanted[CHANNEL_COUNT])
{
	char answer;
	int fd;

	for (fd = CONNECTION_FIRST; fd <= CONNECTION_LAST; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			cannot_start("descriptors are missing: qmail-start must start me", NULL);
	s->clean_to = CONNECTION_TO_CLEAN;
	s->clean_from = CONNECTION_FROM_CLEAN;
	/* Its first answer means that the queue is at rest: see qmail-clean. */
	if (!cleaner_ask(s->clean_to, s->clean_from, CLEAN_PID, NULL, 1, &answer))
		cannot_start("no word from qmail-clean", NULL);
	if (!courier_open(&s->couriers[CHANNEL_LOCAL], CONNECTION_TO_LSPAWN, CONNECTION_FROM_LSPAWN,
		wanted[CHANNEL_LOCAL]))
		cannot_start("no word from qmail-lspawn", NULL);
	if (!courier_open(&s->couriers[CHANNEL_REMOTE], CONNECTION_TO_RSPAWN,
		CONNECTION_FROM_RSPAWN, wanted[CHANNEL_REMOTE]))
		cannot_start("no word from qmail-rspawn", NULL);
}

/* How qmail-queue and qmail-queued make a message durable here; each asks for itself. */
static void
say_how_queued(void)
{
	int fd = open("todo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	log_line("queue: %s", fd >= 0 && journal_orders(fd) ? "one fsync for a message"
							    : "an fsync for each file and name");
	if (fd >= 0)
		close(fd);
}

static void
reload(struct send *s)
{
	const char *bad;

	if (!home_enter()) {
		log_line(
		    "alert: unable to reread controls: can't enter the home: %s", strerror(errno));
		return;
	}
	bad = routes_reload(&s->routes);
	if (bad)
		log_line("alert: unable to reread %s: %s; going on with what I had", bad,
		    strerror(errno));
	while (chdir("queue") < 0) {
		log_line("alert: unable to go back to the queue: %s; hoping that it returns",
		    strerror(errno));
		log_flush();
		sleep(10);
	}
}

static void
hurry(struct send *s)
{
	int channel, due;

	for (channel = 0; channel < CHANNEL_COUNT; channel++)
		for (due = 0; due < DUE_COUNT; due++)
			heap_hurry(&s->due[channel][due], s->now);
}

static void
heed_signals(struct send *s)
{
	if (asked_to_leave && !s->leaving) {
		s->leaving = true;
		log_status(s);
	}
	if (asked_to_hurry) {
		asked_to_hurry = 0;
		hurry(s);
	}
	if (asked_to_reload) {
		asked_to_reload = 0;
		reload(s);
	}
}

static void
work(struct send *s)
{
	enum channel channel;

	s->wake = s->now + 3600;
	ending_step(s);
	if (!s->leaving && !s->lost) {
		intake_step(s);
		scan_step(s);
	}
	for (channel = 0; channel < CHANNEL_COUNT; channel++)
		attempt_start(s, channel);
	status_step(s);
}

/* Not before what is done is gone from the queue, or the next one would do it again. */
static bool
may_leave(const struct send *s)
{
	if (s->lost)
		return s->unclean || !ending_due(s);
	return s->leaving && !s->couriers[CHANNEL_LOCAL].busy &&
	       !s->couriers[CHANNEL_REMOTE].busy && !ending_busy(s) && !ending_due(s);
}

enum {
	WAIT_TRIGGER,
	WAIT_FROM,
	WAIT_TO = WAIT_FROM + CHANNEL_COUNT,
	WAIT_JOB = WAIT_TO + CHANNEL_COUNT,
	WAIT_COUNT = WAIT_JOB + BOUNCE_JOBS
};

static void
await(struct send *s, int trigger, const sigset_t *normal)
{
	struct pollfd waits[WAIT_COUNT];
	struct timespec limit = {.tv_sec = s->wake > s->now ? s->wake - s->now : 0};
	char bytes[256];
	int i;

	waits[WAIT_TRIGGER] = (struct pollfd){.fd = trigger, .events = POLLIN};
	for (i = 0; i < CHANNEL_COUNT; i++) {
		const struct courier *courier = &s->couriers[i];
		bool more = courier->sent < courier->outgoing.len;

		waits[WAIT_FROM + i] = (struct pollfd){.fd = courier->from, .events = POLLIN};
		waits[WAIT_TO + i] =
		    (struct pollfd){.fd = more ? courier->to : -1, .events = POLLOUT};
	}
	for (i = 0; i < BOUNCE_JOBS; i++)
		waits[WAIT_JOB + i] = (struct pollfd){
		    .fd = s->jobs[i].message ? s->jobs[i].from : -1, .events = POLLIN};
	if (ppoll(waits, WAIT_COUNT, &limit, normal) < 0) {
		s->now = time(NULL);
		return;
	}
	s->now = time(NULL);
	if (waits[WAIT_TRIGGER].revents && read(trigger, bytes, sizeof bytes) > 0)
		s->todo_wanted = true;
	for (i = 0; i < CHANNEL_COUNT; i++)
		if (waits[WAIT_FROM + i].revents)
			attempt_reports(s, (enum channel)i);
	for (i = 0; i < BOUNCE_JOBS; i++)
		if (waits[WAIT_JOB + i].revents)
			ending_bounced(s, &s->jobs[i]);
}

static void
deliver_forever(struct send *s, int trigger, const sigset_t *normal)
{
	log_status(s);
	for (;;) {
		heed_signals(s);
		work(s);
		if (!s->lost && (!courier_write(&s->couriers[CHANNEL_LOCAL]) ||
				    !courier_write(&s->couriers[CHANNEL_REMOTE]))) {
			log_line("alert: lost connection to a spawner, ending");
			s->lost = true;
		}
		if (may_leave(s))
			return;
		log_flush();
		await(s, trigger, normal);
	}
}

int
main(void)
{
	static struct send s;
	unsigned wanted[CHANNEL_COUNT];
	sigset_t normal;
	int trigger;

	process_closed();
	mem_exhausted = no_memory;
	umask(077);
	prepare(&s);
	if (!home_enter())
		cannot_start("can't enter the home", strerror(errno));
	load_controls(&s, wanted);
	if (chdir("queue") < 0)
		cannot_start("can't enter the queue", strerror(errno));
	lock_queue();
	settle_signals(&normal);
	/* Open for writing as well, it never reports that nobody has it open. */
	trigger = open(QUEUE_TRIGGER, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (trigger < 0)
		cannot_start("can't open queue/" QUEUE_TRIGGER, strerror(errno));
	meet_helpers(&s, wanted);
	say_how_queued();
	s.now = time(NULL);
	s.todo_wanted = s.scanning = true;
	deliver_forever(&s, trigger, &normal);
	log_line("status: exiting");
	log_flush();
	return s.lost ? 111 : 0;
}
