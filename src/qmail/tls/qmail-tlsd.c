/*
 * qmail-tlsd [-c MAX] [-e CIPHERS] [-u USER] [-g GROUP] -a DOOR [-a DOOR ...] SOCKET BUNDLE
 *
 * Speaks TLS for the doors, each of which gives it the client's socket and one to carry to
 * (lib/tlsclient.h). OpenSSL is started and the bundle is read here, once; each session is a child
 * that was forked for it, so that what one session holds is in no other's memory. This process
 * reads nothing that a client has sent.
 */
#include "lib/bio.h"
#include "lib/clock.h"
#include "lib/descriptors.h"
#include "lib/fatal.h"
#include "lib/identity.h"
#include "tls/bundle.h"
#include "tls/doors.h"
#include "tls/serve.h"
#include "tls/tickets.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKLOG 256
#define SESSIONS_MAX 100000
#define USAGE                                                                                      \
	"usage: qmail-tlsd [-c max] [-e ciphers] [-u user] [-g group] -a door [-a door ...] "      \
	"socket bundle"

const char fatal_program[] = "qmail-tlsd";

struct daemon {
	struct bundle bundle;
	const char *path;
	const struct passwd *user; /* who it becomes; NULL: it stays who it is */
	gid_t group;               /* of the socket; -1: as it comes */
	unsigned long max;
	unsigned long sessions;
	bool full; /* and that has been said */
	int listening;
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
	case 'g': d->group = group_named(optarg); break;
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

	while ((option = getopt(argc, argv, "+a:c:e:g:u:")) != -1) {
		take_option(d, option);
		doors |= option == 'a';
		if (option == 'u') {
			/* The next look at the users is written over this one. */
			user = *d->user;
			d->user = &user;
		}
	}
	if (argc - optind != 2 || !doors)
		fatal(100, USAGE);
	d->path = argv[optind];
	d->bundle.path = argv[optind + 1];
}

/*
 * Nobody can connect before all of it is as it should be: the mode is the group's, and only then
 * the socket is listened at. One that an earlier process has left is in nobody's way.
 */
static void
listen_at(struct daemon *d)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t len = strlen(d->path);
	mode_t before = umask(0177);

	if (len >= sizeof address.sun_path)
		fatal(100, "%s: too long for a socket's path", d->path);
	memcpy(address.sun_path, d->path, len + 1);
	d->listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->listening < 0 || (unlink(d->path) < 0 && errno != ENOENT) ||
	    bind(d->listening, (struct sockaddr *)&address, sizeof address) < 0)
		fatal(111, "%s: %s", d->path, strerror(errno));
	umask(before);
	if (d->group != (gid_t)-1 &&
	    (lchown(d->path, (uid_t)-1, d->group) < 0 || chmod(d->path, 0660) < 0))
		fatal(111, "%s: %s", d->path, strerror(errno));
	if (listen(d->listening, BACKLOG) < 0)
		fatal(111, "%s: %s", d->path, strerror(errno));
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
		fatal(111, "%s", error.s);
	str_free(&error);
}

static void
bury(struct daemon *d)
{
	while (d->sessions && waitpid(-1, NULL, WNOHANG) > 0) {
		d->sessions--;
		d->full = false;
	}
}

static void
begin_session(struct daemon *d, int fd, const sigset_t *mask)
{
	pid_t child;

	look_at_bundle(d);
	if (!tickets_turn(clock_ms()))
		say("qmail-tlsd: no ticket can be given: %s\n", bundle_reason());
	child = fork();
	if (child == 0) {
		close(d->listening);
		signal(SIGTERM, SIG_DFL);
		signal(SIGCHLD, SIG_DFL);
		sigprocmask(SIG_SETMASK, mask, NULL);
		serve(fd, bundle_context());
	}
	if (child < 0)
		say("qmail-tlsd: no process for a session: %s\n", strerror(errno));
	else
		d->sessions++;
}

static bool
has_place(struct daemon *d)
{
	if (d->sessions < d->max)
		return true;
	if (!d->full)
		say("qmail-tlsd: all %lu places are taken\n", d->max);
	d->full = true;
	return false;
}

static void
meet_door(struct daemon *d, const sigset_t *mask)
{
	int fd = accept4(d->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	uid_t uid;

	if (fd < 0) {
		/* Without a descriptor nothing is taken out of the queue, which would wake it again
		 * at once. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			poll(NULL, 0, 100);
		return;
	}
	if (!doors_admitted(fd, &uid))
		say("qmail-tlsd: user %ld is no door\n", (long)uid);
	else if (has_place(d))
		begin_session(d, fd, mask);
	close(fd);
}

static void
run(struct daemon *d, const sigset_t *mask)
{
	struct pollfd wait = {.fd = d->listening, .events = POLLIN};

	while (!ending) {
		int ready = ppoll(&wait, 1, NULL, mask);

		bury(d);
		if (ready > 0)
			meet_door(d, mask);
	}
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

int
main(int argc, char **argv)
{
	struct daemon d = {.group = (gid_t)-1, .max = 200};
	sigset_t mask;

	process_closed();
	descriptors_tidy();
	take_arguments(&d, argc, argv);
	expect_signals(&mask);
	listen_at(&d);
	if (d.user && !identity_become(d.user->pw_uid, d.user->pw_gid))
		fatal(111, "unable to become %s: %s", d.user->pw_name, strerror(errno));
	/* To become another user opens what was closed. */
	process_closed();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fatal(111, "no_new_privs: %s", strerror(errno));
	look_at_bundle(&d);
	run(&d, &mask);
	return 0;
}
