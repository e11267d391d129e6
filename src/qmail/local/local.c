/* One local delivery: see local.h. */
#include "local/local.h"

#include "lib/controls.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "local/dotfile.h"
#include "local/dotqmail.h"
#include "local/maildir.h"
#include "local/mbox.h"
#include "local/message.h"
#include "local/program.h"
#include "local/resend.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct work {
	struct delivery d;
	struct dotfile file;
	struct list forwards;
	unsigned long files, programs;
	char **environment; /* made for the first program */
};

static _Noreturn void
usage(void)
{
	leave(EXIT_NEVER, "usage: qmail-local [-nN] user homedir local dash ext domain sender "
			  "defaultdelivery");
}

static bool
read_arguments(struct delivery *d, int count, char **arguments)
{
	bool describe = false;
	int option;

	while ((option = getopt(count, arguments, "+nN")) != -1) {
		if (option != 'n' && option != 'N')
			usage();
		describe = option == 'n';
	}
	arguments += optind;
	if (count - optind != 8 || arguments[1][0] != '/')
		usage();
	d->user = arguments[0];
	d->home = arguments[1];
	d->local = arguments[2];
	delivery_extend(d, arguments[3], arguments[4]);
	d->domain = arguments[5];
	d->sender = arguments[6];
	d->fallback = arguments[7];
	return describe;
}

static void
limit_programs(void)
{
	unsigned long seconds = 0, processes = 0;

	if (!home_enter() || !controls_number("timeoutprogram", &seconds) || !seconds)
		leave(EXIT_LATER, "Can't use control/timeoutprogram. (#4.3.5)");
	if (!controls_number("processesuser", &processes))
		leave(EXIT_LATER, "Can't use control/processesuser. (#4.3.5)");
	program_limit((unsigned)seconds);
	program_limit_processes(processes);
}

/* The instructions: the file's, or the default delivery where it is empty or may be absent. */
static void
find_instructions(struct work *w)
{
	bool found = dotfile_find(&w->file, &w->d);

	if (!found && !w->d.whole)
		leave(EXIT_NEVER, "Sorry, no mailbox here by that name. (#5.1.1)");
	if (w->file.content.len)
		return;
	str_set(&w->file.name, "the default delivery");
	str_set(&w->file.content, w->d.fallback);
	w->file.executable = false;
}

/* Before anything is delivered, so that a slip in the last line can't repeat the first. */
static void
check_instructions(const struct work *w)
{
	struct str argument = STR_INIT;
	struct dotqmail file;
	enum dot_kind kind;

	dotqmail_open(&file, w->file.content.s, w->file.content.len);
	while ((kind = dotqmail_next(&file, &argument)) != DOT_END) {
		if (kind == DOT_BLANK_FIRST)
			leave(
			    EXIT_LATER, "The first line of %s is blank. (#4.2.1)", w->file.name.s);
		if (kind == DOT_MALFORMED)
			leave(EXIT_LATER, "Line %zu of %s is no delivery instruction: %s (#4.2.1)",
			    file.line, w->file.name.s, argument.s);
		if (kind != DOT_FORWARD && w->file.executable)
			leave(EXIT_LATER,
			    "%s is executable, so it may only forward, but line %zu does not. "
			    "(#4.7.0)",
			    w->file.name.s, file.line);
	}
	str_free(&argument);
}

static bool
has_been_here(const struct delivery *d)
{
	int found = message_has_line(&d->delivered_to);

	if (found < 0)
		leave(EXIT_LATER, "Can't read the message: %s. (#4.3.0)", strerror(errno));
	return found == 1;
}

/* Whether the instructions put the message into a file and send it on: so it was kept before it
 * went. */
static bool
keeps_and_sends(const struct work *w)
{
	struct str argument = STR_INIT;
	struct dotqmail file;
	bool keeps = false, sends = false;
	enum dot_kind kind;

	dotqmail_open(&file, w->file.content.s, w->file.content.len);
	while ((kind = dotqmail_next(&file, &argument)) != DOT_END) {
		keeps = keeps || kind == DOT_MBOX || kind == DOT_MAILDIR;
		sends = sends || kind == DOT_FORWARD || kind == DOT_PROGRAM;
	}
	str_free(&argument);
	return keeps && sends;
}

/* Whether it comes from this address's own owner, as what a list sends to its members does. */
static bool
is_own_list(const struct delivery *d)
{
	struct str owner = STR_INIT, sender = STR_INIT;
	bool own;

	str_addf(&owner, "%s-owner@%s", delivery_local(d), d->domain);
	str_set(&sender, d->sender);
	own = str_equal_nocase(&sender, owner.s);
	str_free(&owner);
	str_free(&sender);
	return own;
}

/*
 * The message was here before. Its way ends without a bounce where nothing is lost by that, or
 * nobody is there to have one: it came back from where a mailbox that keeps a copy, or a list, had
 * sent it.
 */
static int
end_loop(const struct work *w)
{
	if (keeps_and_sends(w) || is_own_list(&w->d)) {
		report("It came back: it already has my Delivered-To line, and ends here.");
		return 0;
	}
	leave(EXIT_NEVER, "This message is looping: "
			  "it already has my Delivered-To line. (#5.4.6)");
}

static void
describe(const struct work *w)
{
	static const char *const words[] = {[DOT_PROGRAM] = "program",
	    [DOT_MBOX] = "mbox",
	    [DOT_MAILDIR] = "maildir",
	    [DOT_FORWARD] = "forward"};
	struct str argument = STR_INIT;
	struct dotqmail file;
	enum dot_kind kind;

	report("instructions of: %s", w->file.name.s);
	report("forwarding sender: %s", w->d.new_sender.s);
	dotqmail_open(&file, w->file.content.s, w->file.content.len);
	while ((kind = dotqmail_next(&file, &argument)) != DOT_END)
		report("%s: %s", words[kind], argument.s);
	str_free(&argument);
}

static enum outcome
run_program(struct work *w, const char *command)
{
	if (!w->environment)
		w->environment = delivery_environment(&w->d);
	w->programs++;
	return program_deliver(command, w->environment);
}

static enum outcome
follow(struct work *w, enum dot_kind kind, const char *argument)
{
	switch (kind) {
	case DOT_PROGRAM: return run_program(w, argument);
	case DOT_MBOX: w->files++; return mbox_deliver(argument, &w->d);
	case DOT_MAILDIR: w->files++; return maildir_deliver(argument, &w->d);
	default: list_add(&w->forwards, argument); return OUTCOME_DONE;
	}
}

/* Every instruction in turn, forwards only noted, up to the first that fails or stops. */
static enum outcome
follow_all(struct work *w)
{
	struct str argument = STR_INIT;
	struct dotqmail file;
	enum outcome outcome = OUTCOME_DONE;
	enum dot_kind kind;

	dotqmail_open(&file, w->file.content.s, w->file.content.len);
	while (outcome == OUTCOME_DONE && (kind = dotqmail_next(&file, &argument)) != DOT_END)
		outcome = follow(w, kind, argument.s);
	str_free(&argument);
	return outcome == OUTCOME_STOP ? OUTCOME_DONE : outcome;
}

static enum outcome
forward_all(struct work *w, unsigned long *id)
{
	static struct message message;

	message_open(&message);
	return resend(w->d.delivered_to.s, &message, w->d.new_sender.s, &w->forwards, false, id);
}

static int
deliver(struct work *w)
{
	enum outcome outcome = follow_all(w);
	unsigned long id = 0;

	if (outcome == OUTCOME_DONE && w->forwards.count)
		outcome = forward_all(w, &id);
	if (outcome != OUTCOME_DONE)
		return outcome == OUTCOME_NEVER ? EXIT_NEVER : EXIT_LATER;
	report("did %lu+%zu+%lu", w->files, w->forwards.count, w->programs);
	if (w->forwards.count)
		report("qp %lu", id);
	return 0;
}

int
local_main(int count, char **arguments)
{
	static struct work w = {
	    .d = {.recipient = STR_INIT,
		.new_sender = STR_INIT,
		.delivered_to = STR_INIT,
		.return_path = STR_INIT,
		.from_line = STR_INIT},
	    .file = {.name = STR_INIT, .content = STR_INIT},
	    .forwards = LIST_INIT,
	};
	bool only_describe;

	process_closed();
	descriptors_tidy();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	umask(077);
	opterr = 0;
	only_describe = read_arguments(&w.d, count, arguments);
	limit_programs();
	if (chdir(w.d.home))
		leave(EXIT_LATER, "Can't enter the home directory %s: %s. (#4.3.0)", w.d.home,
		    strerror(errno));
	dotfile_check_home();
	delivery_prepare(&w.d);
	find_instructions(&w);
	check_instructions(&w);
	if (only_describe) {
		describe(&w);
		return 0;
	}
	return has_been_here(&w.d) ? end_loop(&w) : deliver(&w);
}
