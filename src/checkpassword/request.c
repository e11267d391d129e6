#include "request.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum request_status
request_parse(struct request *request)
{
	const char *field[3];
	size_t at = 0;

	request->user = NULL;
	request->password = NULL;
	if (request->length > REQUEST_MAX)
		return REQUEST_TOO_LONG;
	for (size_t i = 0; i < 3; i++) {
		const char *nul = memchr(request->bytes + at, '\0', request->length - at);
		if (!nul)
			return REQUEST_MALFORMED;
		field[i] = request->bytes + at;
		at = (size_t)(nul - request->bytes) + 1;
	}
	request->user = field[0];
	request->password = field[1];
	return REQUEST_OK;
}

enum request_status
request_read(struct request *request, int fd)
{
	enum request_status status;

	request->length = 0;
	/* One byte more than is allowed tells "exactly full" from "too long". */
	while (request->length < sizeof request->bytes) {
		ssize_t got = read(
		    fd, request->bytes + request->length, sizeof request->bytes - request->length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int saved = errno;
			request_wipe(request);
			close(fd);
			errno = saved;
			return saved == EBADF ? REQUEST_NOT_OPEN : REQUEST_UNREADABLE;
		}
		if (got == 0)
			break;
		request->length += (size_t)got;
	}
	close(fd);
	status = request_parse(request);
	if (status != REQUEST_OK)
		request_wipe(request);
	return status;
}

void
request_wipe(struct request *request)
{
	explicit_bzero(request, sizeof *request);
}
