/*
 * sendmail: what other programs call by that name, in terms of qmail-inject, qmail-smtpd
 * and qmail-qread. See sendmail(8).
 */
#include "inject/rewrite.h"
#include "lib/bio.h"
#include "lib/fatal.h"
#include "lib/identity.h"
#include "lib/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
	const char *sender; /* of -f, or NULL */
	const char *name;   /* of -F, or NULL */
	char mode;          /* of -b */
	bool from_header;   /* -t */
};

/* An option's argument that we have no use for: its letters here, "::" glued on or absent. */
#define OPTIONS "+A:B:b:C:d::e::F:f:GIiJL:mN:nO:o:p:q::R:r:sTtUV:vX:xh:"

const char fatal_program[] = "sendmail";

static void
read_options(struct request *request, int count, char **arguments)
{
	int option;

	opterr = 0;
	while ((option = getopt(count, arguments, OPTIONS)) != -1) {
		switch (option) {
		case 'b': request->mode = optarg[0]; break;
		case 'F': request->name = optarg; break;
		case 'f':
		case 'r': request->sender = optarg; break;
		case 't': request->from_header = true; break;
		case '?':
			fatal(100,
			    "usage: sendmail [-t] [-fsender] [-Fname] [-bp] [-bs] [recipient ...]");
		default: break; /* how to deliver is not for the caller to say */
		}
	}
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The address in what -f was given, which may have a name, angle brackets or a comment beside it.
 */
static void
read_address(struct str *address, const char *given)
{
	const struct rewrite_rules none = REWRITE_RULES_INIT;
	struct list found = LIST_INIT;
	struct str why = STR_INIT;

	if (!rewrite_list(NULL, &found, given, strlen(given), &none) || found.count > 1) {
		str_addf(&why, "the sender \"%s\" is not an address", given);
		fatal(100, "%s", why.s);
	}
	list_index(&found);
	if (found.count)
		str_set(address, found.items[0]);
	list_free(&found);
}

/*
 * A sender given by -f is the author too, unless the header has one; what the environment
 * says of somebody else must not be mixed with it.
 */
static void
set_author(const char *sender)
{
	struct str user = STR_INIT;
	size_t at;

	read_address(&user, sender);
	unsetenv("MAILHOST");
	unsetenv("MAILNAME");
	unsetenv("NAME");
	unsetenv("QMAILNAME");
	if (!user.len)
		return;
	at = str_rfind(&user, '@');
	if (at < user.len)
		setenv("QMAILHOST", user.s + at + 1, 1);
	else
		unsetenv("QMAILHOST");
	str_cut(&user, at);
	setenv("QMAILUSER", user.s, 1);
	str_free(&user);
}

static _Noreturn void
become(const char *program, char **arguments)
{
	struct str path = STR_INIT;

	str_addf(&path, "%s/bin/%s", home(), program);
	execv(path.s, arguments);
	fatal(111, "can't run %s: %s", path.s, strerror(errno));
}

static _Noreturn void
become_alone(const char *program)
{
	char *arguments[] = {strdup(program), NULL};

	become(program, arguments);
}

static _Noreturn void
inject(const struct request *request, int count, char **recipients)
{
	char **arguments = mem_array((size_t)count + 5, sizeof *arguments);
	struct str sender = STR_INIT;
	int at = 0, i;

	arguments[at++] = strdup("qmail-inject");
	arguments[at++] = strdup(request->from_header ? "-H" : "-a");
	if (request->sender) {
		str_addf(&sender, "-f%s", *request->sender ? request->sender : "<>");
		arguments[at++] = sender.s;
	}
	arguments[at++] = strdup("--");
	for (i = 0; i < count; i++)
		arguments[at++] = recipients[i];
	become("qmail-inject", arguments);
}

int
main(int count, char **arguments)
{
	struct request request = {.mode = 'm'};
	const char *name = base_name(count ? arguments[0] : "sendmail");

	if (!strcmp(name, "mailq"))
		request.mode = 'p';
	if (!strcmp(name, "newaliases"))
		request.mode = 'i';
	read_options(&request, count, arguments);
	switch (request.mode) {
	case 'm': break;
	case 'p': become_alone("qmail-qread");
	case 's': /* somebody on this host submits mail: as free to as with qmail-inject */
		setenv("RELAYCLIENT", "", 1);
		become_alone("qmail-smtpd");
	case 'i': fatal(100, "there is no table of aliases to rebuild: see dot-qmail(5)");
	case 'd': fatal(100, "this is no daemon: tcpserver runs qmail-smtpd");
	default: fatal(100, "this mode is not supported; -bm, -bp and -bs are");
	}
	if (request.sender)
		set_author(request.sender);
	if (request.name)
		setenv("QMAILNAME", request.name, 1);
	if (optind >= count && !request.from_header)
		fatal(100, "no recipients were listed");
	inject(&request, count - optind, arguments + optind);
}
