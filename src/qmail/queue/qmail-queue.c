/*
 * qmail-queue: puts one message into the queue. Message on descriptor 0, envelope on 1, the
 * answer is the exit code: see qmail-queue(8).
 *
 * Runs setuid to the owner of the queue, so whatever it inherits is hostile. Memory is
 * constant, whatever the size of the message and the number of its recipients.
 *
 * A message goes through these states (qmail-send(8) tells what happens after them):
 *
 *	S1	no file
 *	S2	mess/ID, made as pid/X and linked to the number that its inode has
 *	S3	and intd/ID, the envelope
 *	S4	and todo/ID, a link to intd/ID: the message is queued
 *
 * What is written when, so that the answer "accepted" outlives a loss of power:
 *
 *	1. fsync of mess/ID and of intd/ID, before todo/ID exists: a todo entry never names
 *	   a message or an envelope with missing bytes.
 *	2. link todo/ID, then fsync of the directory todo: the new name is on disk before the
 *	   exit code says so.
 *
 * The names mess/ID and intd/ID need no fsync of their directories: on ext4, XFS and Btrfs,
 * fsync of a new file writes out the log up to the change that named it, and the fsync of
 * todo, later in the same log, could not come before it. Writing out of both files is begun
 * before either is waited for, so the disk gets them as one piece of work.
 */
#include "lib/bio.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/mem.h"
#include "lib/queuefs.h"
#include "lib/when.h"
#include "queue/envelope.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum code {
	CODE_ACCEPTED = 0,
	CODE_ADDRESS_LONG = 11,
	CODE_MEMORY = 51,
	CODE_TIMEOUT = 52,
	CODE_WRITE = 53,
	CODE_READ = 54,
	CODE_HOME = 61,
	CODE_QUEUE = 62,
	CODE_PID_FILE = 63,
	CODE_MESS_FILE = 64,
	CODE_INTD_FILE = 65,
	CODE_TODO_FILE = 66,
	CODE_INTERNAL = 81,
	CODE_MALFORMED = 91
};

#define LIFETIME 86400 /* seconds; the clean-up takes files for abandoned after 36 hours */
#define NAME_TRIES 16  /* of a pid file, and of inode numbers */
#define PATH_SIZE 64

/* The files that exist because of us; empty names while they don't. */
static char pid_path[PATH_SIZE], mess_path[PATH_SIZE], intd_path[PATH_SIZE];
static char buffer[65536], intd_buffer[8192];

static _Noreturn void
finish(enum code code)
{
	if (*intd_path)
		unlink(intd_path);
	if (*mess_path)
		unlink(mess_path);
	if (*pid_path)
		unlink(pid_path);
	_exit((int)code);
}

static void
too_slow(int signal_number)
{
	(void)signal_number;
	finish(CODE_TIMEOUT);
}

static void
no_memory(void)
{
	finish(CODE_MEMORY);
}

/* Signals that the invoker has blocked, ignored, or may send; limits on the file size. */
static void
settle_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2,
	    SIGXFSZ, SIGXCPU, SIGVTALRM, SIGPROF, SIGIO, SIGTSTP, SIGTTIN, SIGTTOU};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, slow = {.sa_handler = too_slow};
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof ignored / sizeof *ignored; i++)
		sigaction(ignored[i], &ignore, NULL);
	sigaction(SIGALRM, &slow, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(LIFETIME);
}

/* Who brings the message, as the Received line says it. */
static void
describe_caller(uid_t uid, char *text, size_t size)
{
	static const struct {
		enum identity who;
		const char *text;
	} known[] = {{IDENTITY_DAEMON, "from network"}, {IDENTITY_ALIAS, "by alias"},
	    {IDENTITY_SEND, "for bounce"}};
	const struct passwd *entry = getpwuid(uid);
	size_t i;

	snprintf(text, size, "by uid %lu", (unsigned long)uid);
	for (i = 0; entry && i < sizeof known / sizeof *known; i++)
		if (!strcmp(entry->pw_name, identity_names[known[i].who]))
			snprintf(text, size, "%s", known[i].text);
}

static size_t
trace_line(char *to, size_t size, uid_t uid)
{
	struct str date = STR_INIT;
	char caller[64];
	int len;

	describe_caller(uid, caller, sizeof caller);
	when_822(&date, time(NULL));
	len = snprintf(
	    to, size, "Received: (qmail %ld invoked %s); %s\n", (long)getpid(), caller, date.s);
	str_free(&date);
	if (len < 0 || (size_t)len >= size)
		finish(CODE_INTERNAL);
	return (size_t)len;
}

static int
open_pid_file(void)
{
	char path[PATH_SIZE];
	unsigned attempt;

	for (attempt = 0; attempt < NAME_TRIES; attempt++) {
		struct timespec now;
		int fd;

		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(path, sizeof path, "pid/%ld.%lld.%ld", (long)getpid(),
		    (long long)now.tv_sec, now.tv_nsec);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd >= 0) {
			memcpy(pid_path, path, sizeof pid_path);
			return fd;
		}
		if (errno != EEXIST)
			break;
	}
	finish(CODE_PID_FILE);
}

static void
set_path(char *to, const char *directory, bool split, unsigned long id)
{
	struct str path = STR_INIT;

	queue_path(&path, directory, split, id);
	if (path.len >= PATH_SIZE)
		finish(CODE_INTERNAL);
	memcpy(to, path.s, path.len + 1);
	str_free(&path);
}

/*
 * Makes the mess file: S1 to S2. Its number is free by the rule that mess/ID has inode ID;
 * where a queue was restored file by file the rule may be broken, so a name that is taken
 * is left alone and the inode is kept busy while another is tried.
 */
static int
open_mess_file(unsigned long *id)
{
	unsigned attempt;

	for (attempt = 0; attempt < NAME_TRIES; attempt++) {
		char path[PATH_SIZE];
		int fd = open_pid_file();
		struct stat file;

		if (fstat(fd, &file) < 0)
			finish(CODE_PID_FILE);
		*id = file.st_ino;
		set_path(path, "mess", true, *id);
		if (link(pid_path, path) == 0) {
			memcpy(mess_path, path, sizeof mess_path);
			if (unlink(pid_path) < 0)
				finish(CODE_PID_FILE);
			*pid_path = 0;
			return fd;
		}
		if (errno != EEXIST || unlink(pid_path) < 0)
			finish(CODE_MESS_FILE);
		*pid_path = 0;
	}
	finish(CODE_MESS_FILE);
}

static void
copy_message(int fd, uid_t caller)
{
	size_t have = trace_line(buffer, sizeof buffer, caller);

	for (;;) {
		ssize_t got = fd_read(0, buffer + have, sizeof buffer - have);

		if (got < 0)
			finish(CODE_READ);
		have += (size_t)got;
		if (got == 0 || have == sizeof buffer) {
			if (!fd_write_all(fd, buffer, have))
				finish(CODE_WRITE);
			have = 0;
		}
		if (got == 0)
			return;
	}
}

static void
copy_envelope(struct out *out)
{
	struct envelope envelope = {.state = ENVELOPE_SENDER};

	do {
		ssize_t got = fd_read(1, buffer, sizeof buffer);

		if (got <= 0)
			finish(CODE_READ);
		out_bytes(out, buffer, envelope_feed(&envelope, buffer, (size_t)got));
	} while (envelope.state < ENVELOPE_DONE);
	if (envelope.state == ENVELOPE_LONG)
		finish(CODE_ADDRESS_LONG);
	if (envelope.state == ENVELOPE_MALFORMED)
		finish(CODE_MALFORMED);
}

/* S2 to S3. */
static int
write_intd_file(unsigned long id, uid_t caller)
{
	char path[PATH_SIZE];
	struct out out;
	int fd;

	set_path(path, "intd", false, id);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		finish(CODE_INTD_FILE);
	memcpy(intd_path, path, sizeof intd_path);
	out_fd(&out, fd, intd_buffer, sizeof intd_buffer);
	out_char(&out, 'u');
	out_number(&out, caller);
	out_bytes(&out, "\0p", 2);
	out_number(&out, (unsigned long)getpid());
	out_char(&out, 0);
	copy_envelope(&out);
	if (!out_flush(&out))
		finish(CODE_WRITE);
	return fd;
}

static void
make_durable(int mess, int intd)
{
	/* Only a hint: its failure shows in fsync. */
	(void)!sync_file_range(mess, 0, 0, SYNC_FILE_RANGE_WRITE);
	(void)!sync_file_range(intd, 0, 0, SYNC_FILE_RANGE_WRITE);
	if (fsync(mess) < 0 || fsync(intd) < 0)
		finish(CODE_WRITE);
}

/*
 * S3 to S4. From the link on the message is qmail-send's and its files are not removed any
 * more, even if the directory can't be written out: then the caller is told to try again,
 * and the message may be delivered twice rather than not at all.
 */
static void
enter_queue(unsigned long id)
{
	char path[PATH_SIZE];

	set_path(path, "todo", false, id);
	alarm(0);
	if (link(intd_path, path) < 0)
		finish(CODE_TODO_FILE);
	*intd_path = *mess_path = 0;
	if (!directory_sync("todo"))
		finish(CODE_TODO_FILE);
	queue_trigger();
}

int
main(void)
{
	uid_t caller = getuid(), owner = geteuid();
	unsigned long id;
	int mess, intd;

	process_closed();
	mem_exhausted = no_memory;
	settle_signals();
	umask(022);
	/* Without both, a file opened below could be taken for the message or the envelope. */
	if (!descriptor_given(0) || !descriptor_given(1))
		finish(CODE_READ);
	/* From here on the invoker can't send signals, nor become the owner by a debugger. */
	if (setresuid(owner, owner, owner) < 0)
		finish(CODE_INTERNAL);
	if (!home_enter())
		finish(CODE_HOME);
	if (chdir("queue") < 0)
		finish(CODE_QUEUE);
	mess = open_mess_file(&id);
	copy_message(mess, caller);
	intd = write_intd_file(id, caller);
	make_durable(mess, intd);
	enter_queue(id);
	_exit(CODE_ACCEPTED);
}
