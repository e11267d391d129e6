/*
 * checkpassword: checks the password on descriptor 3, then becomes the user and runs a program;
 * with "-" in the program's place it only checks.
 *
 * It runs set-user-id root for a caller that is not trusted with anything but asking. So it begins
 * by making the ground sure (descriptors, environment, no core dumps), takes the one thing it needs
 * root for when only checking (the open databases, and the table of failures) and gives root up
 * before it looks at a byte of anybody's. Each refusal takes the same work, whether or not the
 * account exists and however many passwords it has; only where too much has failed already there is
 * no answer and no work. Nothing that is said on descriptor 2 depends on the password or tells
 * whether an account exists.
 */
#include "become.h"
#include "config.h"
#include "failures.h"
#include "logins.h"
#include "place.h"
#include "request.h"
#include "shadow.h"
#include "trusted.h"
#include "verify.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef CONFIG_FILE
#define CONFIG_FILE "/etc/checkpassword.conf"
#endif

enum exit_code {
	ACCEPTED = 0,
	REFUSED = 1,
	MISUSED = 2,
	TROUBLE = 111,
};

enum {
	WHY_MAX = 1536,
	PASSWD_BUFFER = 16384, /* one entry of the user database */
	SECONDS_A_DAY = 86400,
};

/* What must not outlive an answer. Static, so that one function can wipe it wherever we leave. */
static struct request request;
static struct shadow_answer answer;

static struct config config;
static struct login login; /* of who has asked, where the database of log-ins has him */
static bool declared;
static struct failures *failures; /* NULL: none are counted */
static struct failures_attempt attempt;

static _Noreturn void
leave(enum exit_code code)
{
	request_wipe(&request);
	shadow_wipe(&answer);
	_exit((int)code);
}

/* One line on descriptor 2, whatever is in it. */
static void
say_list(const char *format, va_list arguments)
{
	char text[WHY_MAX];
	int length = vsnprintf(text, sizeof text, format, arguments);

	for (int i = 0; i < length && i < WHY_MAX - 1; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	dprintf(STDERR_FILENO, "checkpassword: %s\n", text);
}

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_list(format, arguments);
	va_end(arguments);
}

static _Noreturn void __attribute__((format(printf, 2, 3)))
complain(enum exit_code code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_list(format, arguments);
	va_end(arguments);
	/* Trouble says nothing about the password. */
	if (failures && code == TROUBLE)
		failures_give_back(failures, &attempt, &config.limits, time(NULL));
	leave(code);
}

/* No core, no tracing: memory is about to hold secrets. Repeated after each change of identity,
   which may set the first back. */
static void
forbid_dumps(void)
{
	const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		complain(TROUBLE, "core dumps could not be forbidden: %s", strerror(errno));
}

/* Descriptors 0 to 3 are open, so that nothing opened later takes their place (a caller that leaves
   out 3 must not have us read a database as its request); nothing else is. */
static void
settle_descriptors(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			leave(TROUBLE);
	if (fcntl(REQUEST_FD, F_GETFD) < 0)
		complain(MISUSED, "descriptor 3 is not open");
	closefrom(REQUEST_FD + 1);
}

/* Opens the database of log-ins: -1 where there is none. False with one sentence in
   why[0..WHY_MAX). */
static bool
open_logins(int *fd, char *why)
{
	char name[TRUSTED_NAME_MAX + 1], fault[256];
	int directory = trusted_directory(config.logins, name, why, WHY_MAX);

	*fd = -1;
	if (directory < 0)
		return errno == ENOENT;
	*fd = trusted_open_in(directory, name, O_RDONLY, fault, sizeof fault);
	if (*fd < 0 && errno != ENOENT) {
		snprintf(why, WHY_MAX, "%s: %s", config.logins, fault);
		close(directory);
		return false;
	}
	close(directory);
	return true;
}

/* The database that the configuration names, or -1 with one sentence in why[0..WHY_MAX). Opens that
   of log-ins, and maps the table of failures, as well. */
static int
open_databases(int *logins, char *why)
{
	char fault[WHY_MAX - sizeof CONFIG_FILE - 2];
	bool valid;
	int fd = trusted_open(CONFIG_FILE, why, WHY_MAX);

	if (fd < 0)
		return -1;
	valid = config_read(fd, &config, fault, sizeof fault);
	close(fd);
	if (!valid) {
		snprintf(why, WHY_MAX, "%s: %s", CONFIG_FILE, fault);
		return -1;
	}
	if (*config.failures) {
		failures = failures_open(config.failures, why, WHY_MAX);
		if (!failures)
			return -1;
	}
	if (!open_logins(logins, why))
		return -1;
	return trusted_open(config.database, why, WHY_MAX);
}

static void
read_request(void)
{
	switch (request_read(&request, REQUEST_FD)) {
	case REQUEST_OK: return;
	case REQUEST_NOT_OPEN: complain(MISUSED, "descriptor 3 is not open for reading");
	case REQUEST_UNREADABLE: complain(TROUBLE, "descriptor 3: %s", strerror(errno));
	case REQUEST_TOO_LONG: complain(MISUSED, "more than %d bytes on descriptor 3", REQUEST_MAX);
	case REQUEST_MALFORMED:
		complain(MISUSED, "descriptor 3 must give user, password and timestamp, "
				  "each ending in NUL");
	}
	complain(TROUBLE, "descriptor 3: unknown state");
}

static long
today(void)
{
	return (long)(time(NULL) / SECONDS_A_DAY);
}

/* Who has asked: the mailbox that he logs in to, by the name that the password database has. A name
   whose last day is over is nobody's. */
static const char *
asked_for(int logins)
{
	switch (logins_find(logins, request.user, &login)) {
	case LOGINS_FOUND: declared = login.until >= today(); break;
	case LOGINS_NONE: break;
	case LOGINS_BROKEN: complain(TROUBLE, "%s: no such database", config.logins);
	}
	if (logins >= 0)
		close(logins);
	return declared ? login.mailbox : request.user;
}

/* The account of the mailbox that is declared, where the system has none of that name and uid. */
static const struct passwd *
declared_account(const struct passwd *of_system, bool *alone)
{
	static char shell[] = "/usr/sbin/nologin", none[] = "";
	static struct passwd entry;

	*alone = declared && (!of_system || of_system->pw_uid != login.uid);
	if (!*alone)
		return of_system;
	entry = (struct passwd){
	    .pw_name = login.mailbox,
	    .pw_passwd = none,
	    .pw_uid = login.uid,
	    .pw_gid = login.gid,
	    .pw_gecos = none,
	    .pw_dir = login.home,
	    .pw_shell = shell,
	};
	return &entry;
}

/* The account in the system's user database of that name; NULL if there is none. */
static const struct passwd *
find_account(const char *name)
{
	static struct passwd entry;
	static char buffer[PASSWD_BUFFER];
	struct passwd *found = NULL;
	int error = getpwnam_r(name, &entry, buffer, sizeof buffer, &found);

	/* Some of these are how one source of names or another says that it doesn't know the name.
	 */
	if (!found && error != 0 && error != ENOENT && error != ESRCH && error != EPERM)
		complain(TROUBLE, "the user database: %s", strerror(error));
	return found;
}

/* The name that was asked for, fit to stand between quotes in a log. */
static const char *
shown_user(void)
{
	static char shown[65];
	size_t i;

	for (i = 0; request.user[i] && i < sizeof shown - 1; i++) {
		const char c = request.user[i];
		shown[i] = c > ' ' && c <= '~' && c != '"' && c != '\\' ? c : '?';
	}
	shown[i] = '\0';
	return shown;
}

/* Where too much has failed, nothing is checked, and nobody learns whether the password was right.
 */
static void
charge_attempt(const char *user)
{
	char where[PLACE_TEXT_MAX], network[PLACE_TEXT_MAX];
	struct place place;

	if (!failures)
		return;
	place_parse(&place, getenv("TCPREMOTEIP"));
	place_text(&place, where);
	place_network_text(&place, network);
	switch (failures_charge(failures, &attempt, &config.limits, user, &place,
	    config_excepts(&config, &place), time(NULL))) {
	case FAILURES_FEW: return;
	case FAILURES_OF_ADDRESS:
		complain(TROUBLE, "locked out: %s: too many failures from there; user \"%s\"",
		    where, shown_user());
	case FAILURES_OF_NETWORK:
		complain(TROUBLE, "locked out: %s: too many failures from %s; user \"%s\"", where,
		    network, shown_user());
	case FAILURES_OF_ACCOUNT:
		complain(TROUBLE, "locked out: %s: too many failures of the account; user \"%s\"",
		    where, shown_user());
	}
}

static const char *
service(void)
{
	const char *name = getenv("AUTHSERVICE");

	return name ? name : "";
}

/* The password that has been given, or NULL. Where none fits, all hashes of the answer are
   computed. Who knows a password may see by the clock which of his it is. */
static const struct shadow_password *
fitting_password(void)
{
	for (size_t i = 0; i < answer.count; i++) {
		switch (verify(request.password, answer.passwords[i].hash)) {
		case VERIFY_MATCH:
			if (answer.passwords[i].usable)
				return &answer.passwords[i];
			break;
		case VERIFY_DIFFERS: break;
		case VERIFY_TROUBLE: complain(TROUBLE, "crypt: out of memory");
		}
	}
	return NULL;
}

/* Which of somebody's devices it is, for the log: both names are the database's own. */
static void
tell_device(const struct shadow_password *password)
{
	char where[PLACE_TEXT_MAX];
	struct place place;

	if (!strchr(password->owner, '/'))
		return;
	place_parse(&place, getenv("TCPREMOTEIP"));
	place_text(&place, where);
	say("%s: auth: user %s accepted", where, password->owner);
}

/* The account whose password has been given, or NULL. The same steps for known and unknown names:
   the whole database is read, hashes are computed, an account is looked up. */
static const struct passwd *
authenticate(const char *user, int database, bool *alone)
{
	char name[SHADOW_LINE_MAX];
	const struct passwd *account;
	const struct shadow_password *password;

	if (!shadow_find(database, user, service(), today(), &answer))
		complain(TROUBLE, "the password database: %s", strerror(errno));
	close(database);
	snprintf(name, sizeof name, "%.*s", (int)strcspn(answer.passwords[0].owner, "/"),
	    answer.passwords[0].owner);
	account = find_account(answer.known ? user : name);
	password = fitting_password();
	if (!password)
		return NULL;
	account = declared_account(account, alone);
	/* Root's mail goes to somebody; root itself is never open to guesses from the network. */
	if (!account || account->pw_uid == 0)
		return NULL;
	tell_device(password);
	return account;
}

int
main(int argc, char **argv)
{
	bool check_only = argc > 1 && strcmp(argv[1], "-") == 0;
	const struct passwd *account;
	const char *user;
	char why[WHY_MAX];
	int database, logins = -1;
	bool alone;

	settle_descriptors();
	forbid_dumps();
	umask(077);
	if (argc < 2)
		complain(MISUSED, "usage: checkpassword program [argument ...] | checkpassword -");
	if (!become_clean())
		complain(TROUBLE, "environment: %s", strerror(errno));
	database = open_databases(&logins, why);
	if (check_only) {
		if (!become_caller())
			complain(TROUBLE, "privileges could not be given up: %s", strerror(errno));
		forbid_dumps();
	}
	read_request(); /* even if there is no database: the caller shall not meet a broken pipe */
	if (database < 0)
		complain(TROUBLE, "%s", why);
	user = asked_for(logins);
	charge_attempt(user);
	account = authenticate(user, database, &alone);
	if (!account)
		leave(REFUSED);
	if (failures)
		failures_right(failures, &attempt, &config.limits, time(NULL));
	if (check_only)
		leave(ACCEPTED);

	request_wipe(&request);
	shadow_wipe(&answer);
	if (!become_described(account))
		complain(TROUBLE, "environment: %s", strerror(errno));
	if (!become_account(account, alone, why, sizeof why))
		complain(TROUBLE, "%s", why);
	execvp(argv[1], argv + 1);
	complain(TROUBLE, "%s: %s", argv[1], strerror(errno));
}
