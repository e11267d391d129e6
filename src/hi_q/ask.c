/* Asking the resident: see ask.h. */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PATIENCE = 1000,      /* milliseconds for the resident's first word */
	REQUEST_MOST = 32768, /* bytes; what has a larger environment does its work itself */
	TAKEN = 1,
	REASON_FD = 6,
	GIVEN_MOST = 4
};

struct request {
	char text[REQUEST_MOST];
	size_t length;
	bool whole;
};

static int talk = -1;

static int
call(void)
{
	struct sockaddr_un place = {.sun_family = AF_UNIX, .sun_path = RESIDENT};
	struct ucred peer;
	socklen_t size = sizeof peer;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	/* Who listens there was root when it began to. */
	if (connect(fd, (struct sockaddr *)&place, sizeof place) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
	    (peer.uid != 0 && peer.uid != geteuid())) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Its first word says that it has our code and is at work. */
static bool
is_ours(int fd)
{
	char word[sizeof CODE + 1];
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	return poll(&wait, 1, PATIENCE) == 1 &&
	       recv(fd, word, sizeof word, 0) == (ssize_t)sizeof CODE - 1 &&
	       memcmp(word, CODE, sizeof CODE - 1) == 0;
}

static void
add(struct request *request, const char *word)
{
	size_t length = strlen(word) + 1;

	if (length > sizeof request->text - request->length) {
		request->whole = false;
		return;
	}
	memcpy(request->text + request->length, word, length);
	request->length += length;
}

static bool
describe(struct request *request, const char *class)
{
	char directory[4096], mask[16];
	mode_t current = umask(0);

	umask(current);
	if (!getcwd(directory, sizeof directory))
		return false;
	snprintf(mask, sizeof mask, "%o", (unsigned)current);
	*request = (struct request){.whole = true};
	add(request, class);
	add(request, mask);
	add(request, directory);
	for (char **each = environ; *each; each++)
		add(request, *each);
	return request->whole;
}

/* False where it could not be sent, whole. */
static bool
give(int fd, struct request *request)
{
	union {
		char room[CMSG_SPACE(GIVEN_MOST * sizeof(int))];
		struct cmsghdr aligned;
	} control = {0};
	struct iovec text = {.iov_base = request->text, .iov_len = request->length};
	const int given[GIVEN_MOST] = {0, 1, 2, REASON_FD};
	const size_t count = fcntl(REASON_FD, F_GETFD) >= 0 ? 4 : 3;
	struct msghdr packet = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = control.room};
	struct cmsghdr *rights;

	packet.msg_controllen = (unsigned)CMSG_SPACE(count * sizeof(int));
	rights = CMSG_FIRSTHDR(&packet);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = (unsigned)CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), given, count * sizeof(int));
	return sendmsg(fd, &packet, MSG_NOSIGNAL) == (ssize_t)request->length;
}

/* The number that the resident says next, or -1 where it has ended. */
static int
hear(int fd)
{
	unsigned char number = 0;
	ssize_t got;

	do
		got = recv(fd, &number, 1, 0);
	while (got < 0 && errno == EINTR);
	return got == 1 ? number : -1;
}

static void
pass_on(int number)
{
	const unsigned char word = (unsigned char)number;
	const int before = errno;

	if (send(talk, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		errno = before;
}

/* Whoever writes the message learns that nobody reads it from those who have it now. */
static void
let_go(unsigned kept)
{
	syscall(SYS_close_range, 0U, 1U, 0U);
	syscall(SYS_close_range, 3U, kept - 1, 0U);
	syscall(SYS_close_range, kept + 1, ~0U, 0U);
}

static int
await_end(int fd, int broken)
{
	struct sigaction ending = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
	int code;

	talk = fd;
	sigaction(SIGTERM, &ending, NULL);
	sigaction(SIGINT, &ending, NULL);
	sigaction(SIGHUP, &ending, NULL);
	let_go((unsigned)fd);
	code = hear(fd);
	return code < 0 ? broken : code;
}

int
ask_resident(const char *class, int broken)
{
	static struct request request;
	int fd;

	/* What is closed here could not be given; the program knows what that means. */
	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return -1;
	fd = call();
	if (fd < 0)
		return -1;
	if (is_ours(fd) && describe(&request, class) && give(fd, &request)) {
		fcntl(fd, F_SETFL, 0);
		if (hear(fd) == TAKEN)
			return await_end(fd, broken);
	}
	close(fd);
	return -1;
}
