/* Bounces: see bounce.h. */
#include "send/bounce.h"

#include "lib/addr.h"
#include "lib/bio.h"
#include "lib/control.h"
#include "lib/identity.h"
#include "lib/queuefs.h"
#include "lib/submit.h"
#include "lib/when.h"
#include "queue/record.h"
#include "send/route.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DOUBLE_SENDER "#@[]"
#define NOTES_NAME "bounce"
#define HEADER_MAX 32768 /* bytes of a header that a bounce carries */
#define LINE_KEPT 1024   /* a cut goes back to the end of a line so far */
#define WHOLE ((off_t)1 << 62)

/*
 * control/doublebounceto: a blank first line switches double bounces off, while an empty
 * file is as good as none.
 */
static enum control
load_double_to(struct bounce_names *names)
{
	struct str content = STR_INIT, host = STR_INIT;
	enum control found = file_read("control/doublebounceto", &content, CONTROL_SIZE);

	if (found == CONTROL_ERROR)
		return found;
	names->discard_double = false;
	str_set(&names->double_to, "postmaster");
	if (content.len) {
		str_cut(&content, str_find(&content, '\n'));
		str_trim_end(&content);
		names->discard_double = content.len == 0;
		str_set_str(&names->double_to, &content);
	}
	str_free(&content);
	if (str_has_nul(&names->double_to)) {
		errno = EINVAL;
		return CONTROL_ERROR;
	}
	found = control_line_or_me("doublebouncehost", &host, "doublebouncehost");
	if (str_find(&names->double_to, '@') == names->double_to.len) {
		str_add_char(&names->double_to, '@');
		str_add_str(&names->double_to, &host);
	}
	str_free(&host);
	return found;
}

const char *
bounce_names_load(struct bounce_names *names)
{
	switch (control_line("bouncefrom", &names->from)) {
	case CONTROL_OK: break;
	case CONTROL_ABSENT: str_set(&names->from, "MAILER-DAEMON"); break;
	default: return "control/bouncefrom";
	}
	if (control_line_or_me("bouncehost", &names->host, "bouncehost") != CONTROL_OK)
		return "control/bouncehost";
	if (control_line_or_me("me", &names->me, "this host") != CONTROL_OK)
		return "control/me";
	if (load_double_to(names) != CONTROL_OK)
		return "control/doublebounceto or doublebouncehost";
	return NULL;
}

/*
 * A QSBMF recipient paragraph: "<address>:", then the report without empty lines and
 * without anything that is not printable, then the empty line that ends it.
 */
static void
compose_note(struct str *note, const char *recipient, const char *report)
{
	struct str address = STR_INIT;
	const char *at;

	str_set(&address, recipient);
	str_add_char(note, '<');
	add_printable(note, address.s, address.len, address.len);
	str_add(note, ">:\n");
	for (at = report; *at; at++) {
		if (*at != '\n')
			add_printable(note, at, 1, 1);
		else if (note->s[note->len - 1] != '\n')
			str_add_char(note, '\n');
	}
	if (note->s[note->len - 1] != '\n')
		str_add_char(note, '\n');
	str_add_char(note, '\n');
	str_free(&address);
}

bool
bounce_note(unsigned long id, const char *recipient, const char *report)
{
	struct str note = STR_INIT, path = STR_INIT;
	bool noted;
	int fd;

	compose_note(&note, recipient, report);
	queue_flat_path(&path, NOTES_NAME, id);
	fd = open(path.s, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	/* fsync of a new file takes its name along: see qmail-queue. */
	noted = fd >= 0 && fd_write_all(fd, note.s, note.len) && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	str_free(&note);
	str_free(&path);
	return noted;
}

enum bounce_kind
bounce_kind(unsigned long id, struct str *sender)
{
	struct str path = STR_INIT;
	struct stat file;
	bool there;

	queue_flat_path(&path, NOTES_NAME, id);
	there = stat(path.s, &file) == 0;
	str_free(&path);
	if (!there)
		return errno == ENOENT ? BOUNCE_NONE : BOUNCE_TROUBLE;
	if (!record_sender(id, sender))
		return BOUNCE_TROUBLE;
	if (str_equal(sender, DOUBLE_SENDER))
		return BOUNCE_TRIPLE;
	return sender->len ? BOUNCE_SINGLE : BOUNCE_DOUBLE;
}

static void
add_address(struct str *to, const char *address)
{
	struct str plain = STR_INIT, quoted = STR_INIT;

	str_set(&plain, address);
	addr_quote(&quoted, &plain);
	add_printable(to, quoted.s, quoted.len, quoted.len);
	str_free(&plain);
	str_free(&quoted);
}

static void
compose_header(struct str *text, const struct bounce_names *names, const char *to)
{
	time_t now = time(NULL);

	str_add(text, "Date: ");
	when_822(text, now);
	str_addf(text, "\nMessage-ID: <%lld.%ld.qmail@%s>", (long long)now, (long)getpid(),
	    names->host.s);
	str_addf(text, "\nFrom: %s@%s\nTo: ", names->from.s, names->host.s);
	add_address(text, to);
	str_add(text, "\nSubject: failure notice\nAuto-Submitted: auto-replied\n\n");
}

static const char single_words[] =
    "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
    "This is a permanent error; I've given up. Sorry it didn't work out.\n\n";
static const char double_words[] =
    "I tried to deliver a bounce message to this address, but the bounce bounced!\n\n";

/* A file's first bytes into the message; a file that can't be read makes the bounce wait. */
static void
submit_file(struct submission *s, int fd, off_t most)
{
	char buffer[8192];
	ssize_t got = 0;

	for (; most > 0; most -= got) {
		size_t room = most < (off_t)sizeof buffer ? (size_t)most : sizeof buffer;

		got = fd_read(fd, buffer, room);
		if (got <= 0)
			break;
		submit_bytes(s, buffer, (size_t)got);
	}
	if (got < 0)
		submit_fail(s);
}

/* The length of a header with its blank line, or 0 where that does not come. */
static size_t
header_length(const char *bytes, size_t len)
{
	const char *line = bytes, *end = bytes + len, *stop;

	for (; (stop = memchr(line, '\n', (size_t)(end - line))); line = stop + 1)
		if (stop == line || (stop == line + 1 && *line == '\r'))
			return (size_t)(stop + 1 - bytes);
	return 0;
}

/* How much of the message a bounce carries, up to the end of a line; -1 where it can't be read. */
static off_t
carried(int fd, off_t size, unsigned long body_max)
{
	static char bytes[HEADER_MAX];
	ssize_t got = pread(fd, bytes, sizeof bytes, 0);
	size_t header = got > 0 ? header_length(bytes, (size_t)got) : 0;
	off_t most = header ? (off_t)header + (off_t)body_max : HEADER_MAX, from;
	const char *stop;

	if (got < 0 || most >= size)
		return got < 0 ? -1 : size;
	from = most > LINE_KEPT ? most - LINE_KEPT : 0;
	got = pread(fd, bytes, (size_t)(most - from), from);
	if (got != most - from)
		return -1;
	stop = memrchr(bytes, '\n', (size_t)got);
	return stop ? from + (stop + 1 - bytes) : most;
}

static void
submit_message(struct submission *s, int fd, unsigned long body_max)
{
	struct stat file;
	off_t part = fstat(fd, &file) == 0 ? carried(fd, file.st_size, body_max) : -1;
	struct str text = STR_INIT;

	if (part < 0) {
		submit_fail(s);
		return;
	}
	submit_file(s, fd, part);
	if (part < file.st_size) {
		str_addf(&text, "\n--- The rest of the message, %lld bytes, is left out.\n",
		    (long long)(file.st_size - part));
		submit_text(s, text.s);
	}
	str_free(&text);
}

struct sources {
	int notes, message;
};

static void
compose(struct submission *s, const struct bounce_names *names, enum bounce_kind kind,
    const struct str *sender, struct sources sources)
{
	struct str text = STR_INIT, to = STR_INIT;

	if (kind == BOUNCE_SINGLE)
		route_bounce(sender->s, &to);
	else
		str_set_str(&to, &names->double_to);
	compose_header(&text, names, to.s);
	str_addf(&text, "Hi. This is the qmail-send program at %s.\n", names->me.s);
	str_add(&text, kind == BOUNCE_SINGLE ? single_words : double_words);
	submit_text(s, text.s);
	submit_file(s, sources.notes, WHOLE);
	str_set(&text, kind == BOUNCE_SINGLE ? "--- Below this line is a copy of the message.\n\n"
					     : "--- Below this line is the original bounce.\n\n");
	str_add(&text, "Return-Path: <");
	add_address(&text, sender->s);
	str_add(&text, ">\n");
	submit_text(s, text.s);
	submit_message(s, sources.message, names->body_max);
	submit_sender(s, kind == BOUNCE_SINGLE ? "" : DOUBLE_SENDER);
	submit_recipient(s, to.s);
	str_free(&text);
	str_free(&to);
}

/* The child's work: its answer is a letter, the queueing process and a text. */
static _Noreturn void
send_bounce(int to, const struct bounce_names *names, enum bounce_kind kind,
    const struct str *sender, struct sources sources)
{
	struct str answer = STR_INIT;
	struct submit_result result;
	struct submission s;

	if (!home_enter() || !submit_open_own(&s, getenv("QMAILQUEUE"))) {
		str_addf(&answer, "Z0 can't start the queueing program: %s", strerror(errno));
	} else {
		compose(&s, names, kind, sender, sources);
		submit_close(&s, &result);
		str_addf(&answer, "%c%lu %s", result.class == SUBMIT_ACCEPTED ? 'K' : 'Z',
		    submit_id(&s), result.text);
	}
	_exit(fd_write_all(to, answer.s, answer.len) ? 0 : 1);
}

static int
open_file(const char *directory, bool split, unsigned long id)
{
	struct str path = STR_INIT;
	int fd;

	queue_path(&path, directory, split, id);
	fd = open(path.s, O_RDONLY | O_CLOEXEC);
	str_free(&path);
	return fd;
}

static bool
start_child(struct bounce_job *job, const struct bounce_names *names, enum bounce_kind kind,
    const struct str *sender, struct sources sources)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	job->pid = fork();
	if (job->pid == 0) {
		sigset_t none;

		/* What qmail-send only notes ends nothing here either, and is as usual behind
		 * exec; an ignored signal would stay ignored, and a filter's alarm never ring. */
		signal(SIGTERM, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		send_bounce(ends[1], names, kind, sender, sources);
	}
	close(ends[1]);
	if (job->pid < 0) {
		close(ends[0]);
		return false;
	}
	job->from = ends[0];
	str_clear(&job->answer);
	return true;
}

bool
bounce_start(struct bounce_job *job, unsigned long id, const struct bounce_names *names,
    enum bounce_kind kind, const struct str *sender)
{
	struct sources sources = {open_file(NOTES_NAME, false, id), -1};
	bool started = false;
	int error;

	if (sources.notes < 0)
		return false;
	sources.message = open_file("mess", true, id);
	if (sources.message >= 0)
		started = start_child(job, names, kind, sender, sources);
	error = errno;
	close(sources.notes);
	if (sources.message >= 0)
		close(sources.message);
	errno = error;
	return started;
}

bool
bounce_finish(struct bounce_job *job, struct bounce_outcome *outcome)
{
	char buffer[1024], *end;
	ssize_t got = fd_read(job->from, buffer, sizeof buffer);

	if (got > 0) {
		str_add_bytes(&job->answer, buffer, (size_t)got);
		return false;
	}
	close(job->from);
	while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*outcome = (struct bounce_outcome){.text = "the bounce process crashed"};
	if (job->answer.len < 2)
		return true;
	outcome->qp = strtoul(job->answer.s + 1, &end, 10);
	outcome->done = job->answer.s[0] == 'K';
	outcome->text = *end ? end + 1 : end;
	return true;
}
