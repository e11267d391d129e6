/* MTA-STS: see sts.h. */
#include "remote/sts.h"

#include "lib/addr.h"
#include "lib/chan.h"
#include "lib/clock.h"
#include "lib/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef QMAIL_TESTABLE
enum { THERE_WAIT = 500, ANSWER_WAIT = 2000 };
#else
enum { THERE_WAIT = 10000, ANSWER_WAIT = 75000 }; /* milliseconds; it fetches for 60 s at most */
#endif
enum { AGAIN_WAIT = 100 };

#define WHY_MAX 200
#define MX_MOST 1000 /* lines of a policy; it has 64 KiB */

/* --- The answer ------------------------------------------------------------------------ */

static void
later(struct sts *sts, const char *why, size_t len)
{
	sts->mode = STS_LATER;
	list_free(&sts->mx);
	str_clear(&sts->why);
	add_printable(&sts->why, why, len, WHY_MAX);
}

static bool
is_name(const char *name, size_t len)
{
	size_t i;

	if (!len || len > 255)
		return false;
	for (i = 0; i < len; i++) {
		char c = name[i];
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';

		if (!fine)
			return false;
	}
	return true;
}

/* " ID SECONDS" */
static bool
head_is_fine(const char *words, size_t len)
{
	size_t id = 0, digits;

	if (!len || *words != ' ')
		return false;
	words++;
	len--;
	while (id < len && words[id] != ' ')
		id++;
	if (!is_name(words, id) || id > STS_ID_MAX || id == len)
		return false;
	digits = len - id - 1;
	return digits > 0 && digits <= 10 && strspn(words + id + 1, "0123456789") >= digits;
}

/* The lines of mx, from at on. */
static bool
take_names(struct sts *sts, const char *bytes, size_t len)
{
	struct str name = STR_INIT;
	bool fine = true;

	while (len && fine) {
		const char *end = memchr(bytes, '\n', len);
		size_t line = end ? (size_t)(end - bytes) : 0;
		size_t star = line > 2 && bytes[0] == '*' && bytes[1] == '.' ? 2 : 0;

		fine = end && is_name(bytes + star, line - star) && sts->mx.count < MX_MOST;
		if (!fine)
			break;
		str_set_bytes(&name, bytes, line);
		list_add(&sts->mx, name.s);
		bytes += line + 1;
		len -= line + 1;
	}
	str_free(&name);
	return fine;
}

static bool
begins(const char *bytes, size_t len, const char *word)
{
	return len >= strlen(word) && memcmp(bytes, word, strlen(word)) == 0;
}

static bool
take_policy(struct sts *sts, const char *bytes, size_t line, size_t len)
{
	const size_t word = strlen("testing"); /* as long as the other one */

	if (begins(bytes, line, "testing"))
		sts->mode = STS_TESTING;
	else if (begins(bytes, line, "enforce"))
		sts->mode = STS_ENFORCE;
	else
		return false;
	if (!head_is_fine(bytes + word, line - word) ||
	    !take_names(sts, bytes + line + 1, len - line - 1))
		return false;
	list_index(&sts->mx);
	return sts->mx.count > 0;
}

void
sts_parse(struct sts *sts, const char *bytes, size_t len)
{
	static const char garbled[] = "its answer is not understood";
	const char *end = memchr(bytes, '\n', len);
	size_t line = end ? (size_t)(end - bytes) : 0;

	list_free(&sts->mx);
	str_clear(&sts->why);
	if (!end || len > STS_PACKET_MAX)
		later(sts, garbled, strlen(garbled));
	else if (len == line + 1 && line == strlen("none") && begins(bytes, line, "none"))
		sts->mode = STS_NONE;
	else if (len == line + 1 && begins(bytes, line, "Z "))
		later(sts, bytes + 2, line - 2);
	else if (!take_policy(sts, bytes, line, len))
		later(sts, garbled, strlen(garbled));
}

static size_t
bare_length(const char *name)
{
	size_t len = strlen(name);

	return len && name[len - 1] == '.' ? len - 1 : len;
}

bool
sts_names(const struct sts *sts, const char *mx)
{
	const char *dot = strchr(mx, '.');
	size_t i;

	for (i = 0; i < sts->mx.count; i++) {
		const char *pattern = sts->mx.items[i], *name = mx;
		size_t len;

		if (pattern[0] == '*') {
			if (!dot || dot == mx)
				continue;
			pattern += 2;
			name = dot + 1;
		}
		len = bare_length(pattern);
		if (len && bare_length(name) == len && !strncasecmp(pattern, name, len))
			return true;
	}
	return false;
}

/* --- The talk --------------------------------------------------------------------------- */

static int
call(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t len = strlen(path);
	int fd, error;

	errno = ENAMETOOLONG;
	if (len >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, len + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* One that is started anew is there again within seconds. */
static int
call_patiently(const char *path, long long until)
{
	int fd;

	while ((fd = call(path)) < 0 && clock_ms() < until)
		poll(NULL, 0, AGAIN_WAIT);
	return fd;
}

static bool
send_packet(int fd, const char *bytes, size_t len)
{
	return send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static void
talk(struct sts *sts, int fd, const char *domain, long long until)
{
	char *packet = mem_array(STS_PACKET_MAX + 1, 1);
	struct str question = STR_INIT;
	ssize_t got = -1;

	str_addf(&question, "policy %s\n", domain);
	if (send_packet(fd, question.s, question.len) && fd_wait_until(fd, POLLIN, until) >= 0)
		got = recv(fd, packet, STS_PACKET_MAX + 1, MSG_DONTWAIT);
	if (got > 0)
		sts_parse(sts, packet, (size_t)got);
	else
		later(sts, got ? strerror(errno) : "it went away",
		    strlen(got ? strerror(errno) : "it went away"));
	str_free(&question);
	free(packet);
}

static long long
earlier(long long a, long long b)
{
	return a < b ? a : b;
}

void
sts_ask(struct sts *sts, const char *path, const char *domain, long long end)
{
	int fd;

	if (sts->mode != STS_UNASKED)
		return;
	if (!*path || !is_name(domain, strlen(domain))) {
		sts->mode = STS_NONE;
		return;
	}
	fd = call_patiently(path, earlier(clock_ms() + THERE_WAIT, end));
	if (fd < 0) {
		later(sts, strerror(errno), strlen(strerror(errno)));
		return;
	}
	talk(sts, fd, domain, earlier(clock_ms() + ANSWER_WAIT, end));
	close(fd);
}

void
sts_tell(const char *path, const struct str *result)
{
	int fd = *path && result->len <= STS_PACKET_MAX ? call(path) : -1;

	if (fd < 0)
		return;
	send_packet(fd, result->s, result->len);
	close(fd);
}
