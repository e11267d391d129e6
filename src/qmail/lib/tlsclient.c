/* TLS by qmail-tlsd: see tlsclient.h. */
#include "lib/tlsclient.h"

#include "lib/addr.h"
#include "lib/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READY_WAIT 10000 /* milliseconds, and for an answer beyond what the handshake may take */

static int
give_up(int fd, struct str *error, const char *what, const char *why)
{
	str_set(error, what);
	if (why) {
		str_add(error, ": ");
		str_add(error, why);
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* One message as a string; false, with errno, where none comes. */
static bool
hear(int fd, char *text, long long until)
{
	ssize_t got;

	if (fd_wait_until(fd, POLLIN, until) < 0)
		return false;
	got = recv(fd, text, TLSCLIENT_MESSAGE_MAX, MSG_DONTWAIT);
	if (got == 0)
		errno = ECONNRESET;
	if (got <= 0)
		return false;
	text[got] = 0;
	return true;
}

int
tlsclient_open(const char *path, struct str *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t len = strlen(path);
	char text[TLSCLIENT_MESSAGE_MAX + 1];
	int fd;

	if (len >= sizeof address.sun_path)
		return give_up(-1, error, "qmail-tlsd", "the socket's path is too long");
	memcpy(address.sun_path, path, len + 1);
	/* Without waiting: where its queue is full, it has more to do than it can. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return give_up(fd, error, "qmail-tlsd", strerror(errno));
	if (!hear(fd, text, clock_ms() + READY_WAIT))
		return give_up(fd, error, "qmail-tlsd has no place", strerror(errno));
	if (strcmp(text, "ready") != 0)
		return give_up(fd, error, "qmail-tlsd is not understood", NULL);
	return fd;
}

static bool
send_request(int fd, long long milliseconds, int carried)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control;
	const int given[2] = {0, carried};
	char text[64];
	struct iovec part = {.iov_base = text};
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof control.room};
	struct cmsghdr *header;

	memset(&control, 0, sizeof control);
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof given);
	memcpy(CMSG_DATA(header), given, sizeof given);
	part.iov_len = (size_t)snprintf(text, sizeof text, "tls %lld", milliseconds);
	return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)part.iov_len;
}

/* Takes "yes PROTOCOL CIPHER" apart. */
static bool
understand(const char *text, struct tlsclient *tls)
{
	return sscanf(text, "yes %31[A-Za-z0-9._-] %95[A-Za-z0-9._-]", tls->protocol,
		   tls->cipher) == 2;
}

static bool
ask(int fd, long long milliseconds, int carried, struct tlsclient *tls, struct str *error)
{
	char text[TLSCLIENT_MESSAGE_MAX + 1];

	if (!send_request(fd, milliseconds, carried) ||
	    !hear(fd, text, clock_ms() + milliseconds + READY_WAIT)) {
		give_up(-1, error, "qmail-tlsd", strerror(errno));
		return false;
	}
	if (understand(text, tls))
		return true;
	str_clear(error);
	if (strncmp(text, "no ", 3) == 0)
		add_printable(error, text + 3, strlen(text + 3), TLSCLIENT_MESSAGE_MAX);
	else
		str_set(error, "qmail-tlsd is not understood");
	return false;
}

bool
tlsclient_start(int fd, long long milliseconds, struct tlsclient *tls, struct str *error)
{
	int ends[2];
	bool done;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		give_up(fd, error, "socketpair", strerror(errno));
		return false;
	}
	done = ask(fd, milliseconds, ends[1], tls, error);
	close(fd);
	close(ends[1]);
	if (done && (dup2(ends[0], 0) < 0 || dup2(ends[0], 1) < 0)) {
		give_up(-1, error, "dup2", strerror(errno));
		done = false;
	}
	close(ends[0]);
	return done;
}
