/*
 * checkpassword: checks the password on descriptor 3, then becomes the user and runs a program;
 * with "-" in the program's place it only checks.
 *
 * It runs set-user-id root for a caller that is not trusted with anything but asking. So it begins
 * by making the ground sure (descriptors, environment, no core dumps), takes the one thing it needs
 * root for when only checking (the open database, and the table of failures) and gives root up
 * before it looks at a byte of anybody's. Each answer takes the work of one hash, whether or not
 * the account exists; only where too much has failed already there is no answer and no work.
 * Nothing that is said on descriptor 2 depends on the password or tells whether an account exists.
 */
#include "become.h"
#include "config.h"
#include "failures.h"
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
static struct failures *failures; /* NULL: none are counted */
static struct failures_attempt attempt;

static _Noreturn void
leave(enum exit_code code)
{
	request_wipe(&request);
	shadow_wipe(&answer);
	_exit((int)code);
}

static _Noreturn void __attribute__((format(printf, 2, 3)))
complain(enum exit_code code, const char *format, ...)
{
	char text[WHY_MAX];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	for (int i = 0; i < length && i < WHY_MAX - 1; i++) /* one line, whatever is in it */
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	dprintf(STDERR_FILENO, "checkpassword: %s\n", text);
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

/* The database that the configuration names, or -1 with one sentence in why[0..WHY_MAX). Maps the
   table of failures as well. */
static int
open_database(char *why)
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
charge_attempt(void)
{
	char where[PLACE_TEXT_MAX], network[PLACE_TEXT_MAX];
	struct place place;

	if (!failures)
		return;
	place_parse(&place, getenv("TCPREMOTEIP"));
	place_text(&place, where);
	place_network_text(&place, network);
	switch (failures_charge(failures, &attempt, &config.limits, request.user, &place,
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

/* The account whose password has been given, or NULL. The same steps for known and unknown names:
   the whole database is read, a hash is computed, an account is looked up. */
static const struct passwd *
authenticate(int database)
{
	const struct passwd *account;
	enum verify_status status;

	if (!shadow_find(database, request.user, (long)(time(NULL) / SECONDS_A_DAY), &answer))
		complain(TROUBLE, "the password database: %s", strerror(errno));
	close(database);
	account = find_account(answer.owner);
	status = verify(request.password, answer.hash);
	if (status == VERIFY_TROUBLE)
		complain(TROUBLE, "crypt: out of memory");
	if (status != VERIFY_MATCH || !answer.usable)
		return NULL;
	/* Root's mail goes to somebody; root itself is never open to guesses from the network. */
	if (!account || account->pw_uid == 0)
		return NULL;
	return account;
}

int
main(int argc, char **argv)
{
	bool check_only = argc > 1 && strcmp(argv[1], "-") == 0;
	const struct passwd *account;
	char why[WHY_MAX];
	int database;

	settle_descriptors();
	forbid_dumps();
	umask(077);
	if (argc < 2)
		complain(MISUSED, "usage: checkpassword program [argument ...] | checkpassword -");
	if (!become_clean())
		complain(TROUBLE, "environment: %s", strerror(errno));
	database = open_database(why);
	if (check_only) {
		if (!become_caller())
			complain(TROUBLE, "privileges could not be given up: %s", strerror(errno));
		forbid_dumps();
	}
	read_request(); /* even if there is no database: the caller shall not meet a broken pipe */
	if (database < 0)
		complain(TROUBLE, "%s", why);
	charge_attempt();
	account = authenticate(database);
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
	if (!become_account(account, why, sizeof why))
		complain(TROUBLE, "%s", why);
	execvp(argv[1], argv + 1);
	complain(TROUBLE, "%s: %s", argv[1], strerror(errno));
}
