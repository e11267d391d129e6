/*
 * qmail-pw2u: makes users/assign from a passwd file. See qmail-pw2u(8).
 */
#include "lib/bio.h"
#include "lib/control.h"
#include "lib/fatal.h"
#include "lib/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536

enum homes { HOMES_SKIP, HOMES_FAIL, HOMES_UNCHECKED };

struct options {
	enum homes homes;
	bool uppercase; /* user names with capitals are taken as well */
	char separator; /* between user and extension; 0: no extensions */
	bool directory; /* .qmail-/ext in place of .qmail-ext */
};

struct account {
	const char *user, *home;
	unsigned long uid, gid;
};

struct tables {
	struct list include, exclude, mailnames, subusers;
	bool have_include;
	struct str append;
};

const char fatal_program[] = "qmail-pw2u";

static char output[16384];
static struct out out;

static void
read_options(struct options *options, int count, char **arguments)
{
	int option;

	opterr = 0;
	while ((option = getopt(count, arguments, "+/ohHuUCc:")) != -1) {
		switch (option) {
		case 'o': options->homes = HOMES_SKIP; break;
		case 'h': options->homes = HOMES_FAIL; break;
		case 'H': options->homes = HOMES_UNCHECKED; break;
		case 'u': options->uppercase = true; break;
		case 'U': options->uppercase = false; break;
		case 'C': options->separator = 0; break;
		case 'c': options->separator = optarg[0]; break;
		case '/': options->directory = true; break;
		default: say("qmail-pw2u: usage: qmail-pw2u [-/ohHuUC] [-cchar]\n"); _exit(100);
		}
	}
}

static bool
load(const char *path, struct list *list)
{
	enum control result = file_list(path, list);

	if (result == CONTROL_ERROR)
		fatal(111, "can't read %s: %s", path, strerror(errno));
	return result == CONTROL_OK;
}

static void
load_tables(struct tables *tables)
{
	tables->have_include = load("users/include", &tables->include);
	load("users/exclude", &tables->exclude);
	load("users/mailnames", &tables->mailnames);
	load("users/subusers", &tables->subusers);
	if (file_read("users/append", &tables->append, CONTROL_SIZE) == CONTROL_ERROR)
		fatal(111, "can't read users/append: %s", strerror(errno));
	list_sort(&tables->include);
	list_sort(&tables->exclude);
	list_sort(&tables->mailnames);
	list_index(&tables->subusers);
}

/* Cuts a field off at its colon; NULL where there is none. */
static char *
cut_field(char **rest)
{
	char *field = *rest, *colon = strchr(field, ':');

	if (!colon)
		return NULL;
	*colon = 0;
	*rest = colon + 1;
	return field;
}

/* user:password:uid:gid:gecos:home:shell */
static bool
take_apart(struct account *account, char *line)
{
	char *fields[6];
	int i;

	for (i = 0; i < 6; i++)
		if (!(fields[i] = cut_field(&line)))
			return false;
	account->user = fields[0];
	account->home = fields[5];
	return *account->user && number_parse(fields[2], 4294967294UL, &account->uid) &&
	       number_parse(fields[3], 4294967294UL, &account->gid);
}

static bool
owns_home(const struct options *options, const struct account *account)
{
	struct stat st;

	if (options->homes == HOMES_UNCHECKED)
		return true;
	if (account->home[0] != '/')
		return false;
	if (stat(account->home, &st)) {
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			fatal(111, "can't look at %s, home of %s: %s", account->home, account->user,
			    strerror(errno));
		if (options->homes == HOMES_FAIL)
			fatal(111, "there is no %s, home of %s", account->home, account->user);
		return false;
	}
	return st.st_uid == account->uid;
}

static bool
has_uppercase(const char *name)
{
	for (; *name; name++)
		if (*name >= 'A' && *name <= 'Z')
			return true;
	return false;
}

static bool
gets_mail(const struct options *options, const struct tables *tables, const struct account *account)
{
	if (!account->uid || (has_uppercase(account->user) && !options->uppercase))
		return false;
	if (tables->have_include && !list_find(&tables->include, account->user))
		return false;
	if (list_find(&tables->exclude, account->user))
		return false;
	return owns_home(options, account);
}

/* One assignment: kind and address, then the account, then what .qmail files are called. */
static void
print(char kind, const char *address, size_t len, char separator, const struct account *account,
    const char *dash, const char *ext)
{
	struct str line = STR_INIT;

	str_add_char(&line, kind);
	str_add_bytes(&line, address, len);
	if (separator)
		str_add_char(&line, separator);
	str_addf(&line, ":%s:%lu:%lu:%s:%s:%s:\n", account->user, account->uid, account->gid,
	    account->home, dash, ext);
	out_str(&out, &line);
	str_free(&line);
}

static void
print_name(
    const struct options *options, const char *name, size_t len, const struct account *account)
{
	if (!len)
		return;
	print('=', name, len, 0, account, "", "");
	if (options->separator)
		print('+', name, len, options->separator, account, "-",
		    options->directory ? "/" : "");
}

/* The account's own name, or those that mailnames has in its place. */
static void
print_names(
    const struct options *options, const struct tables *tables, const struct account *account)
{
	const char *names = table_find(&tables->mailnames, account->user);

	if (!names) {
		print_name(options, account->user, strlen(account->user), account);
		return;
	}
	while (*names) {
		size_t len = strcspn(names, ":");

		print_name(options, names, len, account);
		names += len + (names[len] == ':');
	}
}

/* sub:user:pre: of one line of subusers, where it names this account. */
static void
print_subuser(const struct options *options, const char *item, const struct account *account)
{
	struct str line = STR_INIT, ext = STR_INIT;
	char *rest, *sub, *user, *pre;

	str_set(&line, item);
	rest = line.s;
	sub = cut_field(&rest);
	user = sub ? cut_field(&rest) : NULL;
	pre = user ? cut_field(&rest) : NULL;
	if (!pre)
		fatal(111, "users/subusers: \"%s\" is not sub:user:pre:", item);
	if (!strcmp(user, account->user)) {
		str_addf(&ext, "%s%s", options->directory ? "/" : "", pre);
		print('=', sub, strlen(sub), 0, account, "-", ext.s);
		str_add_char(&ext, '-');
		if (options->separator)
			print('+', sub, strlen(sub), options->separator, account, "-", ext.s);
	}
	str_free(&line);
	str_free(&ext);
}

static void
print_account(
    const struct options *options, const struct tables *tables, const struct account *account)
{
	size_t i;

	print_names(options, tables, account);
	for (i = 0; i < tables->subusers.count; i++)
		print_subuser(options, tables->subusers.items[i], account);
}

/* True for the account that gets all other mail. */
static bool
do_line(const struct options *options, const struct tables *tables, struct str *line)
{
	struct account account;
	bool is_alias;

	if (str_has_nul(line) || !take_apart(&account, line->s))
		return false;
	is_alias = !strcmp(account.user, identity_names[IDENTITY_ALIAS]);
	if (is_alias)
		print('+', "", 0, 0, &account, "-", options->directory ? "/" : "");
	if (gets_mail(options, tables, &account))
		print_account(options, tables, &account);
	return is_alias;
}

static bool
do_accounts(const struct options *options, const struct tables *tables)
{
	static char input[16384];
	struct str line = STR_INIT;
	bool alias = false;
	enum in_line state;
	struct in in;

	in_fd(&in, 0, input, sizeof input);
	do {
		state = in_line(&in, &line, '\n', LINE_MAX_BYTES);
		if (state == IN_LINE_ERROR)
			fatal(111, "can't read the passwd file: %s", strerror(errno));
		if (state == IN_LINE_LONG)
			fatal(111, "a line of the passwd file is longer than %d bytes",
			    LINE_MAX_BYTES);
		if (do_line(options, tables, &line))
			alias = true;
	} while (state == IN_LINE_OK);
	str_free(&line);
	return alias;
}

int
main(int count, char **arguments)
{
	static struct tables tables = {.include = LIST_INIT,
	    .exclude = LIST_INIT,
	    .mailnames = LIST_INIT,
	    .subusers = LIST_INIT,
	    .append = STR_INIT};
	struct options options = {.homes = HOMES_SKIP, .separator = '-'};

	read_options(&options, count, arguments);
	if (!home_enter())
		fatal(111, "can't enter %s: %s", home(), strerror(errno));
	load_tables(&tables);
	out_fd(&out, 1, output, sizeof output);
	if (!do_accounts(&options, &tables))
		fatal(111, "the passwd file has no %s, who gets the mail for everybody else",
		    identity_names[IDENTITY_ALIAS]);
	out_str(&out, &tables.append);
	if (tables.append.len && tables.append.s[tables.append.len - 1] != '\n')
		out_char(&out, '\n');
	out_text(&out, ".\n");
	if (!out_flush(&out))
		fatal(111, "can't write: %s", strerror(errno));
	return 0;
}
