/* One session: see serve.h. */
#include "tls/serve.h"

#include "lib/bio.h"
#include "lib/clock.h"
#include "lib/str.h"
#include "lib/tlsclient.h"
#include "tls/bundle.h"
#include "tls/carry.h"
#include "tls/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENT, CARRIED, GIVEN };

/* It has what it needs: no process, no file, no more descriptors than it has and is given. */
static bool
confine(void)
{
	const struct rlimit none = {0, 0}, few = {16, 16};

	return setrlimit(RLIMIT_FSIZE, &none) == 0 && setrlimit(RLIMIT_NOFILE, &few) == 0 &&
	       (geteuid() == 0 || setrlimit(RLIMIT_NPROC, &none) == 0);
}

static bool
tell(int fd, const char *text, size_t len)
{
	return send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

/* The descriptors of one message; false unless they are exactly those that belong there. */
static bool
take_descriptors(struct msghdr *message, int given[GIVEN])
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(message);

	if ((message->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) || !header ||
	    header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(GIVEN * sizeof(int)) ||
	    CMSG_NXTHDR(message, (struct cmsghdr *)header))
		return false;
	memcpy(given, CMSG_DATA(header), GIVEN * sizeof(int));
	return true;
}

/* What is left open of a request that was not understood ends with the process. */
static bool
hear_request(int fd, unsigned long *milliseconds, int given[GIVEN])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(GIVEN * sizeof(int))];
	} control;
	char text[64];
	struct iovec part = {.iov_base = text, .iov_len = sizeof text - 1};
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof control.room};
	ssize_t got;

	if (fd_wait(fd, POLLIN, REQUEST_WAIT) < 0)
		return false;
	got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (got <= 0)
		return false;
	text[got] = 0;
	return take_descriptors(&message, given) && strncmp(text, "tls ", 4) == 0 &&
	       number_parse(text + 4, HANDSHAKE_MAX, milliseconds);
}

/* A stream socket that doesn't block. */
static bool
ready_socket(int fd)
{
	int type, flags = fcntl(fd, F_GETFL);
	socklen_t len = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
	       flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* What is written is whole. With Nagle's algorithm (RFC 9293 section 3.7.4) the greeting would wait
 * until the client has acknowledged its ticket, which it puts off, since it has nothing to say. */
static void
send_at_once(int fd)
{
	const int yes = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static void
answer(int fd, SSL *session, const struct str *error)
{
	struct str text = STR_INIT;

	if (session)
		str_addf(
		    &text, "yes %s %s", SSL_get_version(session), SSL_get_cipher_name(session));
	else
		str_addf(&text, "no %s", error->s);
	str_cut(&text, TLSCLIENT_MESSAGE_MAX);
	if (!tell(fd, text.s, text.len))
		_exit(1);
	str_free(&text);
}

static int leaving;

/* One that is not heard, since too many leave at once, keeps its place until it ends. */
static void
tell_of_leaving(void)
{
	const pid_t pid = getpid();

	if (write(leaving, &pid, sizeof pid) < 0)
		return;
}

_Noreturn void
serve(const struct service *service, SSL_CTX *context)
{
	const int fd = service->fd;
	struct str error = STR_INIT;
	unsigned long milliseconds;
	int given[GIVEN];
	SSL *session;

	leaving = service->leaving;
	if (!confine() || !tell(fd, "ready", 5) || !hear_request(fd, &milliseconds, given) ||
	    !ready_socket(given[CLIENT]) || !ready_socket(given[CARRIED]))
		_exit(1);
	send_at_once(given[CLIENT]);
	if (milliseconds > service->milliseconds_most)
		milliseconds = service->milliseconds_most;
	session = SSL_new(context);
	if (!session || SSL_set_fd(session, given[CLIENT]) != 1)
		_exit(1);
	if (!handshake_do(
		session, given[CLIENT], fd, clock_ms() + (long long)milliseconds, &error)) {
		answer(fd, NULL, &error);
		_exit(1);
	}
	answer(fd, session, NULL);
	close(fd);
	carry(session, given[CLIENT], given[CARRIED], tell_of_leaving);
	_exit(0);
}
