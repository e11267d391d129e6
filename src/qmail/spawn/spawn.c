/* Running deliveries: see spawn.h. */
#include "spawn/spawn.h"

#include "lib/bio.h"
#include "lib/clock.h"
#include "lib/descriptors.h"
#include "lib/family.h"
#include "lib/identity.h"
#include "lib/mem.h"
#include "lib/queuefs.h"
#include "queue/record.h"
#include "send/courier.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

_Static_assert(SPAWN_SLOTS == COURIER_LIMIT, "both sides of the protocol");

#define FIELDS 3             /* of a request, behind its slot */
#define REQUESTS 16384       /* bytes of them that are read at a time */
#define ENDER_PATIENCE 10000 /* milliseconds that the end of a program's family may take */
#define ENDER_ROUNDS 200
#define NEVER (1LL << 62)

static struct task tasks[SPAWN_SLOTS];
static unsigned active;                /* tasks that are not idle */
static unsigned reach;                 /* slots behind the last one that was ever asked for */
static struct str requests = STR_INIT; /* what is not taken yet */
static volatile sig_atomic_t child_ended;

static void
note_child(int number)
{
	(void)number;
	child_ended = 1;
}

struct task *
spawn_waiting(unsigned slot)
{
	return slot < SPAWN_SLOTS && tasks[slot].state == TASK_WAITING ? &tasks[slot] : NULL;
}

unsigned
spawn_reach(void)
{
	return reach;
}

unsigned
spawn_running(uid_t uid)
{
	unsigned count = 0, i;

	for (i = 0; i < reach; i++)
		if (tasks[i].state == TASK_RUNNING && tasks[i].uid == uid)
			count++;
	return count;
}

void
spawn_note(const struct task *task, const char *note)
{
	struct str answer = STR_INIT;
	size_t len = strlen(note);

	str_add_char(&answer, (char)(task->slot >> 8));
	str_add_char(&answer, (char)(task->slot & 255));
	str_add_bytes(&answer, note, len < REPORT_MAX ? len : REPORT_MAX);
	str_add_char(&answer, 0);
	/* When qmail-send is gone nobody wants to know; what runs is still waited for. */
	fd_write_all(1, answer.s, answer.len);
	str_free(&answer);
}

/* Its memory is used again, and inherited by children. */
static void
forget(struct task *task)
{
	if (task->sender.len + task->recipient.len + task->report.len == 0)
		return;
	str_wipe(&task->sender);
	str_wipe(&task->recipient);
	str_wipe(&task->report);
}

void
spawn_answer(struct task *task, const char *report)
{
	spawn_note(task, report);
	forget(task);
	task->state = TASK_IDLE;
	active--;
}

/*
 * Without qmail-send nothing is begun: the next one may be delivering already, and once a
 * message is gone its number is free for another.
 */
static bool
is_orphaned(void)
{
	struct pollfd request = {.fd = 0, .events = POLLIN};

	return poll(&request, 1, 0) > 0 && request.revents & POLLHUP;
}

/* A message is a regular file; anything else in its place must not hold us up. */
static int
open_message(unsigned long id)
{
	struct str path = STR_INIT, name = STR_INIT;
	struct stat file;
	int fd;

	queue_split_path(&name, "mess", id);
	str_set(&path, "queue/");
	str_add_str(&path, &name);
	fd = open(path.s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	str_free(&path);
	str_free(&name);
	if (fd < 0)
		return -1;
	if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && fcntl(fd, F_SETFL, 0) == 0)
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

static _Noreturn void
execute(char **arguments)
{
	struct str program = STR_INIT;

	str_set(&program, "bin/");
	str_add(&program, arguments[0]);
	execv(program.s, arguments);
	say("Can't run %s: %s. (#4.3.0)\n", program.s, strerror(errno));
	_exit(111);
}

/* What a program that is not executed has of our memory: nothing of the others' mail. */
static void
forget_others(const struct task *own)
{
	unsigned i;

	for (i = 0; i < reach; i++)
		if (&tasks[i] != own)
			forget(&tasks[i]);
	str_wipe(&requests);
}

/*
 * Who becomes another user by setresuid can't be looked into by that user's other processes, nor by
 * a debugger: prctl(2), PR_SET_DUMPABLE.
 */
static _Noreturn void
call(const struct task *task, const struct spawn_program *program)
{
	int count = 0;

	while (program->arguments[count])
		count++;
	descriptors_close(3);
	forget_others(task);
	prctl(PR_SET_NAME, program->arguments[0]);
	_exit(program->main(count, program->arguments));
}

static _Noreturn void
become_program(
    const struct task *task, int message, int output, const struct spawn_program *program)
{
	sigset_t none;

	if (dup2(message, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(111);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (program->uid && !identity_become(program->uid, program->gid)) {
		say("Can't become the user: %s. (#4.3.0)\n", strerror(errno));
		_exit(111);
	}
	if (program->main)
		call(task, program);
	execute(program->arguments);
}

void
spawn_run(struct task *task, const struct spawn_program *program)
{
	int message = is_orphaned() ? -1 : open_message(task->id), ends[2];

	if (message < 0) {
		spawn_answer(task, "ZCan't open the message in the queue. (#4.3.0)\n");
		return;
	}
	if (pipe2(ends, O_CLOEXEC) < 0) {
		close(message);
		spawn_answer(task, "ZCan't make a pipe. (#4.3.0)\n");
		return;
	}
	task->pid = fork();
	if (task->pid == 0)
		become_program(task, message, ends[1], program);
	close(message);
	close(ends[1]);
	if (task->pid < 0) {
		close(ends[0]);
		spawn_answer(task, "ZCan't start another process. (#4.3.0)\n");
		return;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	task->uid = program->uid;
	task->end = 0;
	task->output = ends[0];
	task->state = TASK_RUNNING;
	str_clear(&task->report);
}

/* Takes what has come; false at the end of it. More than is reported is dropped. */
static bool
collect(struct task *task)
{
	char buffer[4096];
	ssize_t got = fd_read(task->output, buffer, sizeof buffer);
	size_t room = REPORT_MAX - task->report.len;

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	str_add_bytes(&task->report, buffer, (size_t)got < room ? (size_t)got : room);
	return true;
}

static void
conclude(const struct spawn_kind *kind, struct task *task, int status)
{
	struct str report = STR_INIT;
	int rounds;

	if (task->output >= 0) {
		/* What is in the pipe, and not more than fits into one. */
		for (rounds = 0; rounds < 32 && collect(task); rounds++)
			;
		close(task->output);
	}
	if (task->expired && WIFSIGNALED(status))
		str_addf(&report,
		    "ZThe delivery took longer than %u seconds and was ended; see "
		    "control/timeoutprogram. (#4.3.0)\n",
		    kind->seconds);
	else
		kind->conclude(status, &task->report, &report);
	spawn_answer(task, report.s);
	str_free(&report);
}

static void
reap(const struct spawn_kind *kind)
{
	int status;
	pid_t pid;
	unsigned i;

	child_ended = 0;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < reach; i++) {
			if (tasks[i].ender == pid)
				tasks[i].ender = 0;
			if (tasks[i].state == TASK_RUNNING && tasks[i].pid == pid)
				conclude(kind, &tasks[i], status);
		}
	}
}

/*
 * The child that ends a delivery: as its user, so it can end nobody else's processes, whatever
 * they do to be taken for this one's; but with root's group, to which a /proc that hides processes
 * shows them (family.h). The program goes last; until then its orphans are its own.
 */
static _Noreturn void
end_family(const struct task *task)
{
	int round;

	descriptors_close(0);
	if (task->uid && !identity_become(task->uid, getegid()))
		_exit(111);
	for (round = 0; round < ENDER_ROUNDS && family_signal(task->pid, SIGKILL); round++)
		poll(NULL, 0, ENDER_PATIENCE / ENDER_ROUNDS / 2);
	kill(task->pid, SIGKILL);
	_exit(0);
}

/* Its time is over: first the child above, then, where its user has stopped that, we ourselves. */
static void
expire(struct task *task)
{
	if (!task->expired) {
		task->expired = true;
		task->end = clock_ms() + ENDER_PATIENCE;
		task->ender = fork();
		if (task->ender == 0)
			end_family(task);
		if (task->ender > 0)
			return;
		task->ender = 0;
	}
	if (task->ender)
		kill(task->ender, SIGKILL);
	kill(task->pid, SIGKILL);
	task->end = NEVER;
}

/* Ends what is due; milliseconds until the next one is, -1 for none. */
static long long
watch_time(const struct spawn_kind *kind)
{
	long long now = clock_ms(), first = NEVER;
	unsigned i;

	if (!kind->seconds)
		return -1;
	for (i = 0; i < reach; i++) {
		struct task *task = &tasks[i];

		if (task->state != TASK_RUNNING)
			continue;
		if (!task->end)
			task->end = now + kind->seconds * 1000LL;
		if (task->end <= now)
			expire(task);
		if (task->end < first)
			first = task->end;
	}
	return first == NEVER ? -1 : first - now;
}

static void
reach_to(unsigned slot)
{
	for (; reach <= slot; reach++)
		tasks[reach].sender = tasks[reach].recipient = tasks[reach].report =
		    (struct str)STR_INIT;
}

/* One request from the buffer: the bytes it took, 0 where it is not whole yet, -1: nonsense. */
static ssize_t
take_request(const struct spawn_kind *kind, const char *bytes, size_t len)
{
	const char *field[FIELDS], *at = bytes + 2, *end = bytes + len;
	struct task *task;
	unsigned slot;
	int i;

	if (len < 2)
		return 0;
	slot = (unsigned)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
	for (i = 0; i < FIELDS; i++) {
		field[i] = at;
		at = memchr(at, 0, (size_t)(end - at));
		if (!at)
			return len > 4 * RECORD_MAX ? -1 : 0;
		at++;
	}
	if (slot >= SPAWN_SLOTS || tasks[slot].state != TASK_IDLE)
		return -1;
	task = &tasks[slot];
	task->slot = slot;
	reach_to(slot);
	if (!number_parse(field[0], ULONG_MAX, &task->id))
		return -1;
	str_set(&task->sender, field[1]);
	str_set(&task->recipient, field[2]);
	task->state = TASK_WAITING;
	task->asked = task->expired = false;
	task->pid = task->ender = 0;
	task->output = -1;
	active++;
	kind->begin(task);
	return at - bytes;
}

/* False when there will be no more. */
static bool
take_requests(const struct spawn_kind *kind)
{
	ssize_t got, used = 0;
	size_t at = 0, left;

	str_reserve(&requests, REQUESTS);
	got = fd_read(0, requests.s + requests.len, REQUESTS);
	if (got <= 0)
		return false;
	requests.len += (size_t)got;
	while ((used = take_request(kind, requests.s + at, requests.len - at)) > 0)
		at += (size_t)used;
	left = requests.len - at;
	memmove(requests.s, requests.s + at, left);
	explicit_bzero(requests.s + left, at);
	requests.len = left;
	return used == 0;
}

enum { WAIT_REQUEST, WAIT_EXTRA, WAIT_OUTPUT, WAIT_MAX = WAIT_OUTPUT + SPAWN_SLOTS };

/* False when qmail-send has gone. */
static bool
turn(const struct spawn_kind *kind, bool more, const sigset_t *normal)
{
	static struct pollfd waits[WAIT_MAX];
	static struct task *owners[WAIT_MAX];
	nfds_t count = WAIT_OUTPUT, i;
	struct timespec limit;
	long long left = watch_time(kind);
	unsigned slot;

	limit = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
	waits[WAIT_REQUEST] = (struct pollfd){.fd = more ? 0 : -1, .events = POLLIN};
	waits[WAIT_EXTRA] =
	    (struct pollfd){.fd = kind->extra ? kind->extra() : -1, .events = POLLIN};
	for (slot = 0; slot < reach; slot++) {
		if (tasks[slot].state != TASK_RUNNING || tasks[slot].output < 0)
			continue;
		waits[count] = (struct pollfd){.fd = tasks[slot].output, .events = POLLIN};
		owners[count++] = &tasks[slot];
	}
	if (ppoll(waits, count, left < 0 ? NULL : &limit, normal) > 0) {
		for (i = WAIT_OUTPUT; i < count; i++) {
			if (!waits[i].revents || collect(owners[i]))
				continue;
			close(owners[i]->output);
			owners[i]->output = -1;
		}
		if (waits[WAIT_EXTRA].revents)
			kind->heard();
		if (waits[WAIT_REQUEST].revents && !take_requests(kind))
			more = false;
	}
	if (child_ended)
		reap(kind);
	return more;
}

static void
settle(sigset_t *normal)
{
	struct sigaction note = {.sa_handler = note_child};
	struct rlimit files;
	sigset_t ours;

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGCHLD, &note, NULL);
	sigemptyset(&ours);
	sigaddset(&ours, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ours, NULL);
	sigemptyset(normal);
	/* A pipe for each delivery. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 2 * SPAWN_SLOTS) {
		files.rlim_cur =
		    files.rlim_max < 2 * SPAWN_SLOTS ? files.rlim_max : 2 * SPAWN_SLOTS;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int
spawn_serve(const struct spawn_kind *kind)
{
	static const char hello[2] = {SPAWN_SLOTS >> 8, (char)(SPAWN_SLOTS & 255)};
	sigset_t normal;
	bool more = true;

	settle(&normal);
	if (!fd_write_all(1, hello, sizeof hello))
		return 111;
	while (more || active)
		more = turn(kind, more, &normal);
	return 0;
}
