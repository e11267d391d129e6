/* Asking the signer: see signer.h. */
#include "sign/signer.h"

#include "lib/clock.h"
#include "sign/answer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Milliseconds up to the second try; each further pause is twice as long, up to the most. */
#define FIRST_PAUSE 50
#define MOST_PAUSE 1000

enum talk {
	TALK_ANSWERED,
	TALK_NOBODY, /* there, or who was there has left: a further try may be better */
	TALK_SILENCE
};

static int
call(const char *path)
{
	struct sockaddr_un place = {.sun_family = AF_UNIX};
	int fd;

	errno = ENAMETOOLONG;
	if (strlen(path) >= sizeof place.sun_path)
		return -1;
	memcpy(place.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&place, sizeof place) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static bool
give(int talk, int message)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = {0};
	static char word[] = "sign\n";
	struct iovec text = {.iov_base = word, .iov_len = sizeof word - 1};
	struct msghdr packet = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = control.room};
	struct cmsghdr *rights;

	packet.msg_controllen = sizeof control.room;
	rights = CMSG_FIRSTHDR(&packet);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = (unsigned)CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &message, sizeof message);
	return sendmsg(talk, &packet, MSG_NOSIGNAL) == (ssize_t)text.iov_len;
}

/* The whole packet, or the first bytes of one that is too long; 0 where there was none. */
static enum talk
hear(int talk, char *packet, size_t size, size_t *len)
{
	ssize_t got;

	if (fd_wait(talk, POLLIN, SIGNER_ANSWERS) < 0)
		return TALK_SILENCE;
	do
		got = recv(talk, packet, size, 0);
	while (got < 0 && errno == EINTR);
	*len = got > 0 ? (size_t)got : 0;
	return got > 0 ? TALK_ANSWERED : TALK_NOBODY;
}

static enum talk
ask(const char *path, int message, char *packet, size_t size, size_t *len)
{
	int talk = call(path);
	enum talk outcome = TALK_NOBODY;

	if (talk < 0)
		return TALK_NOBODY;
	errno = 0;
	if (lseek(message, 0, SEEK_SET) == 0 && give(talk, message))
		outcome = hear(talk, packet, size, len);
	close(talk);
	return outcome;
}

bool
signer_ask(const char *path, int fd, struct str *fields, struct str *why)
{
	static char packet[ANSWER_MAX + 1];
	const long long end = clock_after(SIGNER_RETURNS);
	int pause = FIRST_PAUSE;
	enum talk outcome;
	size_t len = 0;

	while ((outcome = ask(path, fd, packet, sizeof packet, &len)) == TALK_NOBODY) {
		const char *trouble = errno ? strerror(errno) : "it left without an answer";

		if (clock_ms() + pause > end) {
			str_set(why, path);
			str_addf(why, ": %s", trouble);
			return false;
		}
		poll(NULL, 0, pause);
		pause = pause * 2 < MOST_PAUSE ? pause * 2 : MOST_PAUSE;
	}
	if (outcome == TALK_ANSWERED)
		return answer_parse(packet, len, fields, why);
	str_set(why, path);
	str_add(why, ": no answer");
	return false;
}
