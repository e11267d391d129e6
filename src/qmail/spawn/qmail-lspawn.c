/*
 * qmail-lspawn: does qmail-send's local deliveries, each in a child that has become the user who
 * gets the mail, and then is qmail-local without executing it: a program's start would be most of
 * what a small message costs. See qmail-lspawn(8) and spawn.h.
 *
 * This process is root. Who gets the mail is looked up (users/cdb, the system's accounts)
 * by qmail-lookup, which runs as qmailp, one for all deliveries, so neither a broken table
 * nor a name service does its work as root, and a look-up costs no process. A slow answer
 * holds up nobody but its own delivery and the look-ups behind it.
 *
 * Only here it is known whose a delivery is: so a user has a share of the deliveries by uid, which
 * no form of an address changes. qmail-send is told the uid, or that the delivery has to wait.
 */
#include "lib/bio.h"
#include "lib/controls.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/journal.h"
#include "local/local.h"
#include "send/courier.h"
#include "send/share.h"
#include "spawn/account.h"
#include "spawn/lookup.h"
#include "spawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_NEVER = 100 };

/* Questions under way: so few that neither side can fill the other's socket and block. */
#define ASKED_MAX 32

#ifdef QMAIL_TESTABLE
enum { BEYOND = 2 };
#else
enum { BEYOND = 60 }; /* seconds that a delivery may take beyond those of its programs */
#endif

static const char *default_delivery;
static unsigned long share, seconds;
static int look_up_fd = -1;
static unsigned asked;

/* The child that looks up: a program of its own, since name services can't be linked into this one.
 */
static _Noreturn void
become_look_up(int fd)
{
	static char name[] = "qmail-lookup";
	char *const arguments[] = {name, NULL};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(fd, 0) < 0 || dup2(fd, 1) < 0)
		_exit(111);
	descriptors_close(3);
	if (!identity_become_named(IDENTITY_LOOKUP, GROUP_NOFILES)) {
		say("qmail-lspawn: can't become %s\n", identity_names[IDENTITY_LOOKUP]);
		_exit(111);
	}
	execv("bin/qmail-lookup", arguments);
	say("qmail-lspawn: can't run bin/qmail-lookup: %s\n", strerror(errno));
	_exit(111);
}

static bool
start_look_ups(void)
{
	int ends[2];
	pid_t pid;

	if (look_up_fd >= 0)
		close(look_up_fd);
	look_up_fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	pid = fork();
	if (pid == 0)
		become_look_up(ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return false;
	}
	look_up_fd = ends[0];
	return true;
}

/* Asks for one delivery's user. */
static void
ask(struct task *task)
{
	struct str request = STR_INIT;
	bool sent;

	str_add_char(&request, (char)(task->slot >> 8));
	str_add_char(&request, (char)(task->slot & 255));
	str_add_bytes(&request, task->recipient.s, str_rfind(&task->recipient, '@'));
	str_add_char(&request, 0);
	sent = (look_up_fd >= 0 || start_look_ups()) && request.len <= LOOKUP_MAX &&
	       send(look_up_fd, request.s, request.len, MSG_NOSIGNAL) >= 0;
	str_free(&request);
	if (sent) {
		task->asked = true;
		asked++;
	} else {
		spawn_answer(task, "ZCan't look up the user. (#4.3.0)\n");
	}
}

static void
begin(struct task *task)
{
	if (str_find(&task->recipient, '@') == task->recipient.len)
		spawn_answer(task, "DThe address has no host name. (#5.1.3)\n");
	else if (asked < ASKED_MAX)
		ask(task);
}

static void
ask_more(void)
{
	unsigned slot;

	for (slot = 0; slot < spawn_reach() && asked < ASKED_MAX; slot++) {
		struct task *task = spawn_waiting(slot);

		if (task && !task->asked)
			ask(task);
	}
}

static void
say_whose(struct task *task, char letter, uid_t uid)
{
	struct str note = STR_INIT;

	str_add_char(&note, letter);
	str_add_number(&note, uid);
	if (letter == COURIER_WAIT)
		spawn_answer(task, note.s);
	else
		spawn_note(task, note.s);
	str_free(&note);
}

/* NULL: bin/qmail-local is to be executed, as for tests that have put a script in its place. */
static spawn_main *
local_program(void)
{
#ifdef QMAIL_TESTABLE
	char mark[2] = "";
	int fd = open("bin/qmail-local", O_RDONLY | O_CLOEXEC);
	bool script = fd >= 0 && read(fd, mark, sizeof mark) == 2 && !memcmp(mark, "#!", 2);

	if (fd >= 0)
		close(fd);
	if (script)
		return NULL;
#endif
	return local_main;
}

static void
deliver(struct task *task, struct account *account)
{
	static char name[] = "qmail-local", end[] = "--";
	size_t at = str_rfind(&task->recipient, '@');
	struct str local = STR_INIT, fallback = STR_INIT;

	if (spawn_running(account->uid) >= share) {
		say_whose(task, COURIER_WAIT, account->uid);
		return;
	}
	say_whose(task, COURIER_WHOSE, account->uid);
	str_set_bytes(&local, task->recipient.s, at);
	str_set(&fallback, default_delivery);
	{
		char *arguments[] = {name, end, account->user.s, account->home.s, local.s,
		    account->dash.s, account->ext.s, task->recipient.s + at + 1, task->sender.s,
		    fallback.s, NULL};
		const struct spawn_program program = {
		    arguments, local_program(), account->uid, account->gid};

		spawn_run(task, &program);
	}
	str_free(&local);
	str_free(&fallback);
}

/* The child is gone: whoever waits for it is told to come again. */
static void
lost_look_ups(void)
{
	unsigned slot;
	struct task *task;

	close(look_up_fd);
	look_up_fd = -1;
	asked = 0;
	for (slot = 0; slot < spawn_reach(); slot++)
		if ((task = spawn_waiting(slot)) && task->asked)
			spawn_answer(task, "ZThe look-up of the user failed. (#4.3.0)\n");
}

static int
look_ups(void)
{
	return look_up_fd;
}

static void
take_answer(struct task *task, enum account_found found, const char *bytes, size_t len)
{
	struct account account;

	account_init(&account);
	if (found == ACCOUNT_NONE)
		spawn_answer(task, "ZThere is no user alias, so mail for unknown users waits. "
				   "(#4.3.5)\n");
	else if (found == ACCOUNT_FOUND && account_unpack(bytes, len, &account))
		deliver(task, &account);
	else
		spawn_answer(task, "ZWho the user is can't be found out now. (#4.3.0)\n");
	account_free(&account);
}

static void
heard(void)
{
	static char answer[LOOKUP_MAX];
	ssize_t got = recv(look_up_fd, answer, sizeof answer, 0);
	struct task *task;

	if (got < 0 && errno == EINTR)
		return;
	if (got < 3) {
		lost_look_ups();
	} else {
		task = spawn_waiting(
		    (unsigned)(unsigned char)answer[0] << 8 | (unsigned char)answer[1]);
		if (task && task->asked) {
			asked--;
			take_answer(
			    task, (enum account_found)answer[2], answer + 3, (size_t)got - 3);
		}
	}
	ask_more();
}

static void
conclude(int status, const struct str *output, struct str *report)
{
	if (!WIFEXITED(status)) {
		str_set(report, "Zqmail-local crashed.\n");
		return;
	}
	switch (WEXITSTATUS(status)) {
	case EXIT_DONE: str_set(report, "K"); break;
	case EXIT_NEVER: str_set(report, "D"); break;
	default: str_set(report, "Z");
	}
	str_add_str(report, output);
	str_replace(report, 0, '?');
}

static bool
load_controls(void)
{
	unsigned long all;

	if (!controls_number("timeoutprogram", &seconds) || !seconds ||
	    !controls_number("concurrencylocal", &all) ||
	    !controls_number("concurrencyuser", &share))
		return false;
	share = share_size(all, share);
	return true;
}

/* What a child asks of the file system that it delivers to is most often known from here. */
static void
look_at_queue(void)
{
	int fd = open("queue/mess", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	journal_orders(fd);
	close(fd);
}

int
main(int count, char **arguments)
{
	struct spawn_kind kind = {begin, conclude, look_ups, heard, 0};

	if (count != 2) {
		say("usage: qmail-lspawn defaultdelivery\n");
		return 100;
	}
	default_delivery = arguments[1];
	umask(077);
	/* What is wrong with a control file qmail-send says, which reads these as well. */
	if (!home_enter() || !load_controls() || !start_look_ups())
		return 111;
	look_at_queue();
	kind.seconds = (unsigned)seconds + BEYOND;
	return spawn_serve(&kind);
}
