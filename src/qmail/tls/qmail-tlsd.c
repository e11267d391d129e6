/*
 * qmail-tlsd [-c MAX] [-e CIPHERS] [-k GROUPS] [-p PROTOCOL] [-s SUITES] [-t SECONDS] [-u USER]
 *	[-g GROUP] -a DOOR [-a DOOR ...] SOCKET BUNDLE [PROGRAM [ARGUMENT ...]]
 * qmail-tlsd -x STUNNEL [-c MAX] [-u USER] [-g GROUP] -a DOOR [-a DOOR ...] SOCKET CONFIGURATION
 *	PROGRAM [ARGUMENT ...]
 *
 * Speaks TLS for the doors, each of which gives it the client's socket and one to carry to
 * (lib/tlsclient.h). OpenSSL is started and the bundle is read here, once; each session is a child
 * that was forked for it, so that what one session holds is in no other's memory. This process
 * reads nothing that a client has sent.
 *
 * With a PROGRAM, which is what runs the doors, that takes the place of the process that was
 * started, and this one is a child of it: who started them knows the program by its process id,
 * and when either of them ends, so does the other.
 *
 * With -x another program speaks TLS, and this one only gives it the place: where it would begin to
 * wait for the doors it becomes STUNNEL, in the resident mode that our build has.
 */
#include "lib/bio.h"
#include "lib/clock.h"
#include "lib/descriptors.h"
#include "lib/fatal.h"
#include "lib/identity.h"
#include "tls/bundle.h"
#include "tls/doors.h"
#include "tls/place.h"
#include "tls/serve.h"
#include "tls/sessions.h"
#include "tls/tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SESSIONS_MAX 100000
#define SECONDS_MAX 600
#define USAGE                                                                                      \
	"usage: qmail-tlsd [-c max] [-e ciphers] [-k groups] [-p protocol] [-s suites] "           \
	"[-t seconds] [-u user] [-g group] -a door [-a door ...] socket bundle "                   \
	"[program [argument ...]]\n"                                                               \
	"       qmail-tlsd -x stunnel [-c max] [-u user] [-g group] -a door [-a door ...] "        \
	"socket configuration program [argument ...]"

const char fatal_program[] = "qmail-tlsd";

struct daemon {
	struct bundle bundle;
	const char *path;
	const char *stunnel;       /* that speaks TLS instead, or NULL */
	bool of_its_own;           /* an option was given that says how this program speaks it */
	const struct passwd *user; /* who it becomes; NULL: it stays who it is */
	gid_t group;               /* of the socket; -1: as it comes */
	unsigned long max;
	unsigned long seconds; /* that a handshake may take, whatever a door asks for */
	bool full;             /* and that has been said */
	int listening;
	char **program;         /* what runs the doors, or nothing */
	int program_fd;         /* a pidfd of it, or -1 */
	int leaving, left_here; /* a pipe: which sessions have no door any more */
};

static volatile sig_atomic_t ending;

static void
on_signal(int number)
{
	if (number == SIGTERM)
		ending = 1;
}

static gid_t
group_named(const char *name)
{
	const struct group *group = getgrnam(name);

	if (!group)
		fatal(111, "-g %s: there is no such group", name);
	return group->gr_gid;
}

static void
take_option(struct daemon *d, int option)
{
	d->of_its_own |= strchr("ekpst", option) != NULL;
	switch (option) {
	case 'a':
		if (!doors_admit(optarg))
			fatal(111, "-a %s: %s", optarg,
			    errno ? strerror(errno) : "there is no such user");
		break;
	case 'c':
		if (!number_parse(optarg, SESSIONS_MAX, &d->max) || !d->max)
			fatal(100, "-c %s: not a number from 1 to %d", optarg, SESSIONS_MAX);
		break;
	case 'e': d->bundle.ciphers = optarg; break;
	case 'k': d->bundle.groups = optarg; break;
	case 'p':
		if (!bundle_protocol(&d->bundle, optarg))
			fatal(100, "-p %s: neither TLSv1.2 nor TLSv1.3", optarg);
		break;
	case 's': d->bundle.suites = optarg; break;
	case 't':
		if (!number_parse(optarg, SECONDS_MAX, &d->seconds) || !d->seconds)
			fatal(100, "-t %s: not a number from 1 to %d", optarg, SECONDS_MAX);
		break;
	case 'g': d->group = group_named(optarg); break;
	case 'x': d->stunnel = optarg; break;
	case 'u':
		d->user = getpwnam(optarg);
		if (!d->user)
			fatal(111, "-u %s: there is no such user", optarg);
		break;
	default: fatal(100, USAGE);
	}
}

static void
take_arguments(struct daemon *d, int argc, char **argv)
{
	static struct passwd user;
	bool doors = false;
	int option;

	while ((option = getopt(argc, argv, "+a:c:e:g:k:p:s:t:u:x:")) != -1) {
		take_option(d, option);
		doors |= option == 'a';
		if (option == 'u') {
			/* The next look at the users is written over this one. */
			user = *d->user;
			d->user = &user;
		}
	}
	if (argc - optind < (d->stunnel ? 3 : 2) || !doors || (d->stunnel && d->of_its_own))
		fatal(100, USAGE);
	d->path = argv[optind];
	d->bundle.path = argv[optind + 1];
	d->program = argv + optind + 2;
}

static void
look_at_bundle(struct daemon *d)
{
	struct str error = STR_INIT;

	if (bundle_look(&d->bundle, &error))
		say("qmail-tlsd: bundle %s\n", d->bundle.path);
	else if (error.len && bundle_context())
		say("qmail-tlsd: the former bundle stays in use: %s\n", error.s);
	else if (error.len)
		say("qmail-tlsd: no session before there is a bundle: %s\n", error.s);
	str_free(&error);
}

static void
bury(struct daemon *d)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		if (sessions_ended(pid))
			d->full = false;
}

static void
hear_who_leaves(struct daemon *d)
{
	pid_t pids[64];
	ssize_t got = read(d->leaving, pids, sizeof pids);
	size_t i;

	for (i = 0; got > 0 && i < (size_t)got / sizeof *pids; i++) {
		sessions_leaving(pids[i]);
		d->full = false;
	}
}

static void
begin_session(struct daemon *d, int fd, const sigset_t *mask)
{
	pid_t child;

	look_at_bundle(d);
	if (!bundle_context())
		return;
	if (!tickets_turn(clock_ms()))
		say("qmail-tlsd: no ticket can be given: %s\n", bundle_reason());
	child = fork();
	if (child == 0) {
		const struct service service = {
		    .fd = fd, .milliseconds_most = d->seconds * 1000, .leaving = d->left_here};

		close(d->listening);
		close(d->leaving);
		if (d->program_fd >= 0)
			close(d->program_fd);
		signal(SIGTERM, SIG_DFL);
		signal(SIGCHLD, SIG_DFL);
		sigprocmask(SIG_SETMASK, mask, NULL);
		serve(&service, bundle_context());
	}
	if (child < 0)
		say("qmail-tlsd: no process for a session: %s\n", strerror(errno));
	else
		sessions_began(child);
}

static bool
has_place(struct daemon *d)
{
	if (sessions_has_place())
		return true;
	if (!d->full)
		say("qmail-tlsd: all %lu places are taken\n", d->max);
	d->full = true;
	return false;
}

/* False: nobody was there. */
static bool
meet_door(struct daemon *d, const sigset_t *mask)
{
	int fd = accept4(d->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	uid_t uid;

	if (fd < 0) {
		/* Without a descriptor nothing is taken out of the queue, which would wake it again
		 * at once. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			poll(NULL, 0, 100);
		return false;
	}
	if (!doors_admitted(fd, &uid))
		say("qmail-tlsd: user %ld is no door\n", (long)uid);
	else if (has_place(d))
		begin_session(d, fd, mask);
	close(fd);
	return true;
}

static void
run(struct daemon *d, const sigset_t *mask)
{
	struct pollfd wait[3] = {{.fd = d->listening, .events = POLLIN},
	    {.fd = d->leaving, .events = POLLIN}, {.fd = d->program_fd, .events = POLLIN}};

	while (!ending) {
		int ready = ppoll(wait, 3, NULL, mask);

		bury(d);
		if (ready <= 0)
			continue;
		if (wait[1].revents)
			hear_who_leaves(d);
		if (wait[0].revents)
			meet_door(d, mask);
		if (wait[2].revents)
			ending = 1;
	}
	/* Who has asked by now is a session that has begun. */
	while (meet_door(d, mask))
		bury(d);
}

/* Signals come while it waits and at no other time. */
static void
expect_signals(sigset_t *mask)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&action.sa_mask);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, mask);
	sigdelset(mask, SIGCHLD);
	sigdelset(mask, SIGTERM);
	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/*
 * The process that was started becomes the program, and this one goes on as a child of it. SIGCHLD
 * stays blocked there, so that an end of ours before the program waits for one is not lost.
 */
static void
stand_beside(struct daemon *d)
{
	sigset_t blocked;
	pid_t child;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	d->program_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (d->program_fd < 0)
		fatal(111, "pidfd_open: %s", strerror(errno));
	child = fork();
	if (child < 0)
		fatal(111, "fork: %s", strerror(errno));
	if (child == 0)
		return;
	execvp(*d->program, d->program);
	fatal(111, "%s: %s", *d->program, strerror(errno));
}

/* What it is given is told in roles/stunnel: the socket as 0, the end of the program as 1. */
_Noreturn static void
become_stunnel(const struct daemon *d)
{
	struct str doors = STR_INIT, max = STR_INIT;
	const sigset_t *nothing = &(sigset_t){0};

	doors_list(&doors);
	str_addf(&max, "%lu", d->max);
	sigprocmask(SIG_SETMASK, nothing, NULL);
	if (dup2(d->listening, 0) < 0 || dup2(d->program_fd, 1) < 0)
		fatal(111, "dup2: %s", strerror(errno));
	execl(d->stunnel, d->stunnel, "-resident", doors.s, max.s, d->bundle.path, (char *)NULL);
	fatal(111, "%s: %s", d->stunnel, strerror(errno));
}

static void
prepare_sessions(struct daemon *d)
{
	int ends[2];

	if (!sessions_init(d->max))
		fatal(111, "no memory for %lu sessions", d->max);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		fatal(111, "pipe: %s", strerror(errno));
	d->leaving = ends[0];
	d->left_here = ends[1];
}

int
main(int argc, char **argv)
{
	struct daemon d = {
	    .group = (gid_t)-1, .max = 200, .seconds = SECONDS_MAX, .program_fd = -1};
	sigset_t mask;

	process_closed();
	descriptors_tidy();
	take_arguments(&d, argc, argv);
	d.listening = place_listen(d.path, d.group);
	if (*d.program)
		stand_beside(&d);
	if (!d.stunnel) {
		expect_signals(&mask);
		prepare_sessions(&d);
	}
	if (d.user && !identity_become(d.user->pw_uid, d.user->pw_gid))
		fatal(111, "unable to become %s: %s", d.user->pw_name, strerror(errno));
	/* To become another user opens what was closed. */
	process_closed();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fatal(111, "no_new_privs: %s", strerror(errno));
	if (d.stunnel)
		become_stunnel(&d);
	look_at_bundle(&d);
	run(&d, &mask);
	return 0;
}
