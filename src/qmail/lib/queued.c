/* Handing over a message to qmail-queued: see queued.h. */
#include "lib/queued.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

socklen_t
queued_address(const struct stat *queue, struct sockaddr_un *address)
{
	int len;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	len =
	    snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "qmail-queued/%llx/%llx",
		(unsigned long long)queue->st_dev, (unsigned long long)queue->st_ino);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static bool
is_owner(int fd, uid_t owner)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == owner;
}

/* Without waiting for one that is busy; -1 where there is none that may be asked. */
static int
reach(void)
{
	struct sockaddr_un address;
	struct stat queue;
	socklen_t len;
	int fd;

	if (stat("queue", &queue) < 0)
		return -1;
	len = queued_address(&queue, &address);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, len) == 0 && is_owner(fd, queue.st_uid))
		return fd;
	close(fd);
	return -1;
}

static bool
hand_over(int fd, const struct str *message, const struct str *envelope)
{
	struct queued_head head = {.message = (uint32_t)message->len};
	struct iovec parts[] = {
	    {&head, sizeof head}, {message->s, message->len}, {envelope->s, envelope->len}};
	const struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 3};

	return sendmsg(fd, &packet, MSG_NOSIGNAL) >= 0;
}

static bool
hear(int fd, struct queued_answer *answer)
{
	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		ssize_t got;

		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			return false;
		got = recv(fd, answer, sizeof *answer, 0);
		if (got == sizeof *answer)
			return true;
		if (got >= 0 || (errno != EINTR && errno != EAGAIN))
			return false;
	}
}

enum queued
queued_put(const struct str *message, const struct str *envelope, struct queued_answer *answer)
{
	enum queued outcome = QUEUED_ELSEWHERE;
	int fd;

	if (message->len > QUEUED_MESSAGE_MAX || envelope->len > QUEUED_ENVELOPE_MAX)
		return QUEUED_ELSEWHERE;
	fd = reach();
	if (fd < 0)
		return QUEUED_ELSEWHERE;
	if (hand_over(fd, message, envelope))
		outcome = hear(fd, answer) ? QUEUED_ANSWERED : QUEUED_LOST;
	close(fd);
	return outcome;
}
