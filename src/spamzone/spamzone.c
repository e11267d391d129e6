/*
 * spamzone: a filter that asks SpamAssassin's client about a message and decides its zone.
 * See spamzone(8).
 *
 * The scanner is given a copy and only its X-Spam-* fields are taken from its answer; the
 * message that goes on is always the one that came in. So no answer, however wrong, can
 * change or truncate a message, and since the message's own X-Spam-* fields were dropped
 * before, no message can bring its own verdict.
 */
#include "field.h"
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	EXIT_PASS = 0,
	EXIT_REFUSE = 1,
	EXIT_USAGE = 100,
	EXIT_LATER = 111,
	REASON_FD = 6,
	NOTE_FD = 7,
	FIELDS_MAX = 32768, /* bytes that the scanner may add */
};

struct settings {
	long zap;    /* red begins this many thousandths above the threshold */
	size_t size; /* larger messages are not scanned */
	unsigned seconds;
	bool accept;        /* unscanned, when the scanner fails */
	bool zones;         /* the scanner's exit code tells the zone: spamc -Y */
	const char *prefix; /* of a yellow message's Subject, or NULL */
	char **command;
};

static bool
write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t put = write(fd, text, length);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		text += put;
		length -= (size_t)put;
	}
	return true;
}

/* A line for whoever reads the descriptor; nobody may. */
static void __attribute__((format(printf, 2, 3))) tell(int fd, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (!write_all(fd, line, strlen(line)))
		return;
}

static _Noreturn void
usage(const char *fault)
{
	fprintf(stderr,
	    "spamzone: %s\n"
	    "usage: spamzone [-ae] [-Y points] [-s bytes] [-t seconds] [-p prefix] command ...\n",
	    fault);
	exit(EXIT_USAGE);
}

static unsigned long
whole_number(const char *text, unsigned long max, const char *fault)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || !value || value > max)
		usage(fault);
	return value;
}

static struct settings
read_settings(int count, char **arguments)
{
	struct settings s = {.zap = 2000, .size = 512000, .seconds = 60};
	int option;

	while ((option = getopt(count, arguments, "+aeY:s:t:p:")) != -1) {
		switch (option) {
		case 'a': s.accept = true; break;
		case 'e': s.zones = true; break;
		case 'Y':
			if (!read_thousandths(optarg, strlen(optarg), &s.zap) || s.zap < 0)
				usage("-Y wants points, such as 2.0");
			break;
		case 's':
			s.size =
			    whole_number(optarg, 256UL << 20, "-s wants bytes, 1 to 268435456");
			break;
		case 't':
			s.seconds =
			    (unsigned)whole_number(optarg, 3600, "-t wants seconds, 1 to 3600");
			break;
		case 'p':
			if (strpbrk(optarg, "\r\n"))
				usage("-p wants one line");
			s.prefix = optarg;
			break;
		default: usage("unknown option, or one without its value");
		}
	}
	if (optind >= count)
		usage("no command to scan with");
	s.command = arguments + optind;
	return s;
}

/* Reads up to limit bytes; true when the end was reached. */
static bool
read_some(struct strip *strip, struct bytes *to, size_t *count, size_t limit)
{
	char piece[16384];

	while (*count <= limit) {
		ssize_t got = read(0, piece, sizeof piece);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			exit(EXIT_LATER);
		if (got == 0)
			return true;
		*count += (size_t)got;
		strip_feed(strip, piece, (size_t)got, to);
	}
	return false;
}

static void
send_bytes(const struct bytes *b)
{
	if (!write_all(1, b->at, b->length))
		exit(EXIT_LATER);
}

/* Lets what is in message, and what is still to be read, pass with a field that says why. */
static int
pass_unscanned(struct strip *strip, struct bytes *message, bool whole, const char *why)
{
	struct bytes field = {0};
	size_t count = 0;

	bytes_text(&field, "X-Spam-Unscanned: ");
	bytes_text(&field, why);
	bytes_text(&field, "\n");
	send_bytes(&field);
	while (!whole) {
		send_bytes(message);
		message->length = 0;
		count = 0;
		whole = read_some(strip, message, &count, 0);
	}
	strip_finish(strip, message);
	send_bytes(message);
	return EXIT_PASS;
}

static int
fail(const struct settings *s, struct strip *strip, struct bytes *message, const char *why)
{
	tell(2, "spamzone: %s: %s\n", s->command[0], why);
	tell(NOTE_FD, "zone=unscanned cause=\"%s\"\n", why);
	if (s->accept)
		return pass_unscanned(strip, message, true, "the spam filter was not available");
	tell(REASON_FD, "Zthe spam filter is not available, try again later (#4.3.0)");
	return EXIT_LATER;
}

enum zone { GREEN, YELLOW, RED };

/* False when exit code and verdict do not fit together. */
static bool
find_zone(const struct settings *s, int code, const struct verdict *v, enum zone *zone)
{
	if (code < 0 || code > (s->zones ? RED : YELLOW) || (code != GREEN) != v->spam)
		return false;
	*zone = (enum zone)code;
	if (!s->zones && v->spam && v->score >= v->required + s->zap)
		*zone = RED;
	return true;
}

static void
decimal(char *to, size_t size, long thousandths)
{
	long size_of = thousandths < 0 ? -thousandths : thousandths;
	int length = snprintf(
	    to, size, "%s%ld.%03ld", thousandths < 0 ? "-" : "", size_of / 1000, size_of % 1000);

	/* One decimal at least, no zeros behind it. */
	while (length > 3 && to[length - 1] == '0' && to[length - 2] != '.')
		to[--length] = 0;
}

static int
decide(const struct settings *s, const struct bytes *message, const struct bytes *fields,
    const struct verdict *v, enum zone zone)
{
	static const char *const names[] = {"green", "yellow", "red"};
	char score[32], required[32], red[32];
	struct bytes marked = {0};

	decimal(score, sizeof score, v->score);
	decimal(required, sizeof required, v->required);
	decimal(red, sizeof red, v->required + s->zap);
	tell(NOTE_FD, "zone=%s score=%s required=%s red=%s rules=%s\n", names[zone], score,
	    required, red, v->rules[0] ? v->rules : "none");
	if (zone == RED) {
		tell(REASON_FD, "Dspam: score %s, refused from %s (#5.7.1)", score, red);
		return EXIT_REFUSE;
	}
	send_bytes(fields);
	if (zone == YELLOW && s->prefix) {
		mark_subject(message->at, message->length, s->prefix, &marked);
		send_bytes(&marked);
	} else {
		send_bytes(message);
	}
	return EXIT_PASS;
}

int
main(int count, char **arguments)
{
	struct settings s = read_settings(count, arguments);
	struct bytes message = {0}, answer = {0}, fields = {0};
	struct strip strip = {0};
	struct verdict verdict;
	const char *why;
	size_t length = 0;
	enum zone zone;
	int code;

	/* Nobody else of this user id has a look at the message. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	/* The scanner has no business with these. */
	fcntl(REASON_FD, F_SETFD, FD_CLOEXEC);
	fcntl(NOTE_FD, F_SETFD, FD_CLOEXEC);
	if (!read_some(&strip, &message, &length, s.size)) {
		char text[96];

		snprintf(text, sizeof text, "larger than %zu bytes", s.size);
		tell(NOTE_FD, "zone=unscanned cause=\"%s\"\n", text);
		return pass_unscanned(&strip, &message, false, text);
	}
	strip_finish(&strip, &message);
	code = scan(s.command, &message, &answer, message.length + 2 * FIELDS_MAX, s.seconds, &why);
	if (code < 0)
		return fail(&s, &strip, &message, why);
	if (code > RED) {
		char text[64];

		snprintf(text, sizeof text, "exit code %d", code);
		return fail(&s, &strip, &message, text);
	}
	take_spam_fields(answer.at, answer.length, &fields);
	if (fields.length > FIELDS_MAX || !read_verdict(fields.at, fields.length, &verdict) ||
	    !find_zone(&s, code, &verdict, &zone))
		return fail(&s, &strip, &message, "no verdict in its answer");
	return decide(&s, &message, &fields, &verdict, zone);
}
