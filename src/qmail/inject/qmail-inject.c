/*
 * qmail-inject: completes a message's header and queues it. See qmail-inject(8).
 */
#include "inject/compose.h"
#include "inject/header.h"
#include "lib/addr.h"
#include "lib/bio.h"
#include "lib/control.h"
#include "lib/descriptors.h"
#include "lib/fatal.h"
#include "lib/identity.h"
#include "lib/submit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_MAX ((size_t)64 << 20)
#define REFUSED 100
#define TRY_LATER 111

enum recipients { ARGUMENTS_ELSE_HEADER, ARGUMENTS, HEADER, BOTH };

struct options {
	enum recipients recipients;
	const char *sender; /* of -f, or NULL */
	bool print;
	char **arguments; /* the recipients; ends with NULL */
};

const char fatal_program[] = "qmail-inject";

static char input[65536];
static struct in in;

static void
read_options(struct options *options, int count, char **arguments)
{
	int option;

	opterr = 0;
	while ((option = getopt(count, arguments, "+aAhHnNf:")) != -1) {
		switch (option) {
		case 'a': options->recipients = ARGUMENTS; break;
		case 'A': options->recipients = ARGUMENTS_ELSE_HEADER; break;
		case 'h': options->recipients = HEADER; break;
		case 'H': options->recipients = BOTH; break;
		case 'n': options->print = true; break;
		case 'N': options->print = false; break;
		case 'f': options->sender = optarg; break;
		default: fatal(REFUSED, "usage: qmail-inject [-nNaAhH] [-fsender] [recipient ...]");
		}
	}
	options->arguments = arguments + optind;
}

static bool
uses_header(const struct options *options)
{
	return options->recipients == HEADER || options->recipients == BOTH ||
	       (options->recipients == ARGUMENTS_ELSE_HEADER && !options->arguments[0]);
}

/*
 * Reads the header up to its blank line. The first line that is neither a field nor a part
 * of one begins the body: it is left in line, which else is empty. A line that an mbox puts
 * in front of a message is passed over. CR LF ends a line as LF does: in SMTP the two are one.
 */
static void
read_header(struct str *header, struct str *line)
{
	bool first = true;

	for (;; first = false) {
		size_t left = header->len < HEADER_MAX ? HEADER_MAX - header->len : 0;
		enum in_line state = in_line(&in, line, '\n', left);

		if (state == IN_LINE_ERROR)
			fatal(TRY_LATER, "can't read the message: %s", strerror(errno));
		if (state == IN_LINE_LONG)
			fatal(REFUSED, "the header is longer than %zu bytes", HEADER_MAX);
		if (state == IN_LINE_OK && line->len && line->s[line->len - 1] == '\r')
			str_cut(line, line->len - 1);
		if (!line->len)
			return;
		if (first && str_starts(line, "From "))
			continue;
		if (!header_name_length(line->s, line->len) &&
		    !(header->len && header_is_continuation(line->s, line->len))) {
			if (state == IN_LINE_OK)
				str_add_char(line, '\n');
			return;
		}
		str_add_str(header, line);
		str_add_char(header, '\n');
		if (state == IN_LINE_PARTIAL) {
			str_clear(line);
			return;
		}
	}
}

/* The file that QMAILMFTFILE names, relative to the user's directory. */
static bool
load_lists(struct list *lists)
{
	const char *path = getenv("QMAILMFTFILE");

	if (!path)
		return false;
	if (file_list(path, lists) != CONTROL_OK)
		fatal(TRY_LATER, "can't read %s: %s", path, strerror(errno));
	list_sort(lists);
	return true;
}

static void
add_argument_recipients(
    const struct options *options, struct list *recipients, const struct rewrite_rules *rules)
{
	char **argument;

	if (options->recipients == HEADER)
		return;
	for (argument = options->arguments; *argument; argument++)
		if (!rewrite_list(NULL, recipients, *argument, strlen(*argument), rules))
			fatal(REFUSED, "%s is not an address", *argument);
}

static _Noreturn void
refuse_line(const struct str *bad)
{
	struct str line = STR_INIT;

	add_printable(&line, bad->s, bad->len, 400);
	fatal(REFUSED, "unable to parse this line: %s", line.s);
}

/* The address of -f, else of Return-Path, else of the environment. */
static const char *
choose_sender(const struct options *options, struct composition *c, struct settings *settings)
{
	static struct list given = LIST_INIT;

	if (options->sender) {
		if (!rewrite_list(
			NULL, &given, options->sender, strlen(options->sender), &settings->rules) ||
		    given.count > 1)
			fatal(REFUSED, "%s is not an address", options->sender);
		list_index(&given);
		return given.count ? given.items[0] : "";
	}
	if (c->return_path.count) {
		list_index(&c->return_path);
		return c->return_path.items[0];
	}
	settings_apply_verp(settings, c->when, c->pid);
	return settings->sender.s;
}

/* The rest of the message behind the header; begin is what was read of it already. */
static void
copy_message(struct out *out, const struct str *header, const struct str *begin)
{
	out_str(out, header);
	out_char(out, '\n');
	out_str(out, begin);
}

/* The bytes without each CR that a LF follows; one at the end is held for the next piece. */
static void
copy_lines(struct out *out, const char *bytes, size_t len, bool *held)
{
	const char *end = bytes + len, *cr;

	if (*held && *bytes != '\n')
		out_char(out, '\r');
	*held = false;
	while ((cr = memchr(bytes, '\r', (size_t)(end - bytes)))) {
		out_bytes(out, bytes, (size_t)(cr - bytes));
		bytes = cr + 1;
		if (bytes == end)
			*held = true;
		else if (*bytes != '\n')
			out_char(out, '\r');
	}
	out_bytes(out, bytes, (size_t)(end - bytes));
}

static bool
copy_body(struct out *out)
{
	bool held = false;
	ssize_t got;

	while ((got = in_fill(&in)) > 0) {
		size_t len;
		const char *bytes = in_peek(&in, &len);

		copy_lines(out, bytes, len, &held);
		in_take(&in, len);
	}
	if (held)
		out_char(out, '\r');
	return got >= 0;
}

static int
print(const struct str *header, const struct str *begin)
{
	static char buffer[16384];
	struct out out;

	out_fd(&out, 1, buffer, sizeof buffer);
	copy_message(&out, header, begin);
	if (!copy_body(&out) || !out_flush(&out))
		fatal(TRY_LATER, "can't copy the message: %s", strerror(errno));
	return 0;
}

/* The empty addresses of <> name nobody. */
static size_t
add_recipients(struct submission *s, struct list *recipients)
{
	size_t i, used = 0;

	list_index(recipients);
	for (i = 0; i < recipients->count; i++) {
		if (!*recipients->items[i])
			continue;
		submit_recipient(s, recipients->items[i]);
		used++;
	}
	return used;
}

static int
queue(
    const struct str *header, const struct str *begin, const char *sender, struct list *recipients)
{
	static struct submission s;
	struct submit_result result;

	if (!submit_open_own(&s, getenv("QMAILQUEUE")))
		fatal(TRY_LATER, "can't start the queueing program: %s", strerror(errno));
	copy_message(&s.out, header, begin);
	if (!copy_body(&s.out)) {
		submit_abandon(&s);
		fatal(TRY_LATER, "can't read the message: %s", strerror(in.error));
	}
	submit_sender(&s, sender);
	if (!add_recipients(&s, recipients)) {
		submit_abandon(&s);
		fatal(REFUSED, "no recipients were listed");
	}
	submit_close(&s, &result);
	if (result.class == SUBMIT_ACCEPTED)
		return 0;
	fatal(result.class == SUBMIT_REFUSED ? REFUSED : TRY_LATER, "%s", result.text);
}

int
main(int count, char **arguments)
{
	static struct settings settings = {.rules = REWRITE_RULES_INIT,
	    .id_host = STR_INIT,
	    .me = STR_INIT,
	    .author = STR_INIT,
	    .sender = STR_INIT};
	static struct composition c = {.settings = &settings,
	    .header = STR_INIT,
	    .recipients = LIST_INIT,
	    .return_path = LIST_INIT,
	    .bad_line = STR_INIT};
	struct options options = {.recipients = ARGUMENTS_ELSE_HEADER};
	struct str header = STR_INIT, begin = STR_INIT;
	struct list lists = LIST_INIT;
	const char *bad, *sender;

	descriptors_tidy();
	signal(SIGPIPE, SIG_IGN);
	read_options(&options, count, arguments);
	if (load_lists(&lists))
		c.lists = &lists;
	if (!home_enter())
		fatal(TRY_LATER, "can't enter %s: %s", home(), strerror(errno));
	bad = settings_load(&settings);
	if (bad)
		fatal(TRY_LATER, "can't read control/%s", bad);

	c.use_header = uses_header(&options);
	c.when = time(NULL);
	c.pid = (unsigned long)getpid();
	add_argument_recipients(&options, &c.recipients, &settings.rules);
	in_fd(&in, 0, input, sizeof input);
	read_header(&header, &begin);
	if (!compose(&c, header.s, header.len))
		refuse_line(&c.bad_line);
	str_free(&header);
	sender = choose_sender(&options, &c, &settings);
	if (options.print)
		return print(&c.header, &begin);
	return queue(&c.header, &begin, sender, &c.recipients);
}
