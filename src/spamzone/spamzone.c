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
#include "sample.h"
#include "scan.h"
#include "share.h"
#include "threshold.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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
	size_t size; /* of a larger message so much is scanned */
	unsigned seconds;
	bool accept;        /* unscanned, when the scanner fails */
	bool zones;         /* the scanner's exit code tells the zone: spamc -Y */
	const char *prefix; /* of a yellow message's Subject, or NULL */
	struct threshold threshold;
	struct share share; /* without a directory there is no limit */
	char **command;
};

/* A message as it came in, but for its X-Spam-* fields. */
struct message {
	const char *at;
	size_t length;
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
	    "usage: spamzone [-ae] [-Y points] [-s bytes] [-t seconds] [-p prefix]\n"
	    "                [-d directory] [-n scans] [-c scans] [-w seconds] command ...\n",
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

static unsigned
number(const char *text, unsigned max, const char *fault)
{
	return (unsigned)whole_number(text, max, fault);
}

static struct settings
read_settings(int count, char **arguments)
{
	struct settings s = {.zap = 2000,
	    .size = 512000,
	    .seconds = 60,
	    .share = {.slots = 4,
		.client = 1,
		.seconds = 20,
		.address = getenv("TCPREMOTEIP"),
		.exempt = getenv("RELAYCLIENT") != NULL}};
	int option;

	while ((option = getopt(count, arguments, "+aeY:s:t:p:d:n:c:w:")) != -1) {
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
		case 't': s.seconds = number(optarg, 3600, "-t wants seconds, 1 to 3600"); break;
		case 'd': s.share.directory = optarg; break;
		case 'n':
			s.share.slots = number(optarg, SLOTS_MAX, "-n wants scans, 1 to 256");
			break;
		case 'c':
			s.share.client = number(optarg, SLOTS_MAX, "-c wants scans, 1 to 256");
			break;
		case 'w':
			s.share.seconds = number(optarg, 3600, "-w wants seconds, 1 to 3600");
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

/* Reads until there are more than limit bytes of message; true when its end was reached. */
static bool
read_some(struct strip *strip, struct bytes *to, size_t limit)
{
	char piece[16384];

	while (to->length <= limit) {
		ssize_t got = read(0, piece, sizeof piece);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			exit(EXIT_LATER);
		if (got == 0) {
			strip_finish(strip, to);
			return true;
		}
		strip_feed(strip, piece, (size_t)got, to);
	}
	return false;
}

/*
 * A file without a name, where there is a directory: in its part for large messages, so that it
 * can be closed itself, and whoever takes us over can't put anything else in the table's place.
 */
static int
open_spool(const char *directory)
{
	char large[PATH_MAX];
	int fd;

	if (!directory)
		return memfd_create("message", MFD_CLOEXEC);
	snprintf(large, sizeof large, "%s/large", directory);
	fd = open(large, O_TMPFILE | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EACCES && !fchmodat(AT_FDCWD, large, 0700, AT_SYMLINK_NOFOLLOW))
		fd = open(large, O_TMPFILE | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == ENOENT)
		fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd;
}

/* Reads the rest of a message that is too large to be kept in memory. */
static struct message
read_rest(const struct settings *s, struct strip *strip, struct bytes *have)
{
	struct message message = {.length = 0};
	int spool = open_spool(s->share.directory);
	bool whole;

	if (spool < 0) {
		tell(2, "spamzone: no file for a large message in %s: %s\n",
		    s->share.directory ? s->share.directory : "memory", strerror(errno));
		exit(EXIT_LATER);
	}
	do {
		message.length += have->length;
		if (!write_all(spool, have->at, have->length))
			exit(EXIT_LATER);
		have->length = 0;
		whole = read_some(strip, have, 0);
	} while (!whole || have->length);
	message.at = mmap(NULL, message.length, PROT_READ, MAP_PRIVATE, spool, 0);
	if (message.at == MAP_FAILED)
		exit(EXIT_LATER);
	close(spool);
	return message;
}

static struct message
read_message(const struct settings *s)
{
	struct bytes have = {0};
	struct strip strip = {0};

	if (!read_some(&strip, &have, s->size))
		return read_rest(s, &strip, &have);
	return (struct message){have.at, have.length};
}

static void
send_all(const char *at, size_t length)
{
	if (!write_all(1, at, length))
		exit(EXIT_LATER);
}

static void
send_text(const char *text)
{
	send_all(text, strlen(text));
}

static int
fail(const struct settings *s, const struct message *message, const char *why)
{
	tell(2, "spamzone: %s: %s\n", s->command[0], why);
	tell(NOTE_FD, "zone=unscanned cause=\"%s\"\n", why);
	if (!s->accept) {
		tell(REASON_FD, "Zthe spam filter is not available, try again later (#4.3.0)");
		return EXIT_LATER;
	}
	send_text("X-Spam-Unscanned: the spam filter was not available\n");
	send_all(message->at, message->length);
	return EXIT_PASS;
}

/*
 * Takes a slot of the scanner, or ends: who is beyond his share tries again later. This is not
 * the scanner's failure, so nothing passes unscanned for it. Returns what is to be closed.
 */
static int
wait_for_share(const struct settings *s, const struct message *message)
{
	int slot =
	    s->share.directory ? share_take(&s->share) : open("/dev/null", O_RDONLY | O_CLOEXEC);
	char why[256];

	if (slot >= 0)
		return slot;
	if (errno == EUSERS) {
		tell(NOTE_FD, "zone=unscanned cause=\"the client has its share of scans\"\n");
		tell(REASON_FD,
		    "Zyour host has its share of the spam filter in use, try again later (#4.4.5)");
		exit(EXIT_LATER);
	}
	if (errno == EAGAIN || errno == EBUSY) {
		tell(NOTE_FD, "zone=unscanned cause=\"%s\"\n",
		    errno == EAGAIN ? "all scans are in use" : "the table of scans is locked");
		tell(REASON_FD, "Zthe spam filter is busy, try again later (#4.4.5)");
		exit(EXIT_LATER);
	}
	snprintf(why, sizeof why, "%s/slots: %s", s->share.directory, strerror(errno));
	exit(fail(s, message, why));
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

/* Sends the message with the prefix before the words of its Subject, once. */
static void
send_marked(const struct message *message, const char *prefix)
{
	size_t header = header_length(message->at, message->length);
	struct bytes marked = {0};

	mark_subject(message->at, header, prefix, &marked);
	send_all(marked.at, marked.length);
	send_all(message->at + header, message->length - header);
}

/* The recipients' own threshold takes the place of the scanner's, in the verdict and in its fields.
 */
static enum zone
rejudge(const struct settings *s, struct verdict *v, struct bytes *fields)
{
	struct bytes anew = {0};
	char required[32];

	v->required = s->threshold.points;
	v->spam = v->score >= v->required;
	decimal(required, sizeof required, v->required);
	rejudge_fields(fields, v->spam, required, &anew);
	*fields = anew;
	return !v->spam ? GREEN : v->score >= v->required + s->zap ? RED : YELLOW;
}

static int
decide(const struct settings *s, const struct message *message, const struct bytes *fields,
    const struct verdict *v, enum zone zone)
{
	static const char *const names[] = {"green", "yellow", "red"};
	char score[32], required[32], red[32], part[64] = "", field[96];

	decimal(score, sizeof score, v->score);
	decimal(required, sizeof required, v->required);
	decimal(red, sizeof red, v->required + s->zap);
	if (message->length > s->size)
		snprintf(part, sizeof part, " scanned=%zu/%zu", s->size, message->length);
	tell(NOTE_FD, "zone=%s score=%s required=%s red=%s rules=%s%s%s\n", names[zone], score,
	    required, red, v->rules[0] ? v->rules : "none", part,
	    s->threshold.kind == THRESHOLD_OWN ? " threshold=own" : "");
	if (zone == RED) {
		tell(REASON_FD, "Dspam: score %s, refused from %s (#5.7.1)", score, red);
		return EXIT_REFUSE;
	}
	send_all(fields->at, fields->length);
	if (message->length > s->size) {
		snprintf(field, sizeof field,
		    "X-Spam-Scanned: %zu of %zu bytes, the first and the last\n", s->size,
		    message->length);
		send_text(field);
	}
	if (zone == YELLOW && s->prefix)
		send_marked(message, s->prefix);
	else
		send_all(message->at, message->length);
	return EXIT_PASS;
}

/* Whose recipients want no filter: it goes on without the fields that a stranger may have put in.
 */
static int
pass_unfiltered(const struct message *message)
{
	tell(NOTE_FD, "zone=off\n");
	send_all(message->at, message->length);
	return EXIT_PASS;
}

static _Noreturn void
refuse_threshold(void)
{
	static const char why[] = "SPAMTHRESHOLD is neither points nor off";

	tell(2, "spamzone: %s\n", why);
	tell(NOTE_FD, "zone=unscanned cause=\"%s\"\n", why);
	tell(REASON_FD, "Zthe spam filter is not available, try again later (#4.3.0)");
	exit(EXIT_LATER);
}

int
main(int count, char **arguments)
{
	struct settings s = read_settings(count, arguments);
	struct bytes copy = {0}, answer = {0}, fields = {0};
	struct message message;
	struct verdict verdict;
	const char *why;
	enum zone zone;
	int code, slot;

	/* Nobody else of this user id has a look at the message. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	/* The scanner has no business with these. */
	fcntl(REASON_FD, F_SETFD, FD_CLOEXEC);
	fcntl(NOTE_FD, F_SETFD, FD_CLOEXEC);
	if (!read_threshold(getenv("SPAMTHRESHOLD"), &s.threshold))
		refuse_threshold();
	message = read_message(&s);
	if (s.threshold.kind == THRESHOLD_OFF)
		return pass_unfiltered(&message);
	sample(message.at, message.length, s.size, &copy);
	slot = wait_for_share(&s, &message);
	code = scan(s.command, &copy, &answer, copy.length + 2 * FIELDS_MAX, s.seconds, &why);
	close(slot);
	if (code < 0)
		return fail(&s, &message, why);
	if (code > RED) {
		char text[64];

		snprintf(text, sizeof text, "exit code %d", code);
		return fail(&s, &message, text);
	}
	take_spam_fields(answer.at, answer.length, &fields);
	if (fields.length > FIELDS_MAX || !read_verdict(fields.at, fields.length, &verdict) ||
	    !find_zone(&s, code, &verdict, &zone))
		return fail(&s, &message, "no verdict in its answer");
	if (s.threshold.kind == THRESHOLD_OWN)
		zone = rejudge(&s, &verdict, &fields);
	/* What is still to come could only add to a score, or take from it less than a red one has.
	 */
	if (verdict.incomplete && zone != RED)
		return fail(&s, &message, "its verdict is incomplete");
	return decide(&s, &message, &fields, &verdict, zone);
}
