/* The message on descriptor 0: see message.h. */
#include "local/message.h"

#include "lib/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ssize_t
read_at(void *context, char *buffer, size_t len)
{
	struct message *message = context;
	ssize_t got;

	do
		got = pread(0, buffer, len, message->at);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		message->at += got;
	return got;
}

void
message_open(struct message *message)
{
	message->at = 0;
	in_open(&message->in, read_at, message, message->buffer, sizeof message->buffer);
}

void
message_open_here(struct message *message)
{
	in_fd(&message->in, 0, message->buffer, sizeof message->buffer);
}

bool
message_copy(struct message *message, struct out *to)
{
	ssize_t got;

	while ((got = in_fill(&message->in)) > 0 && !to->failed) {
		size_t len;
		const char *bytes = in_peek(&message->in, &len);

		out_bytes(to, bytes, len);
		in_take(&message->in, len);
	}
	return got >= 0;
}

/* Passes over the rest of a line that in_line found too long. */
static enum in_line
skip_line(struct in *in)
{
	ssize_t got;

	while ((got = in_fill(in)) > 0) {
		size_t len;
		const char *bytes = in_peek(in, &len), *stop = memchr(bytes, '\n', len);

		in_take(in, stop ? (size_t)(stop - bytes) + 1 : len);
		if (stop)
			return IN_LINE_LONG;
	}
	return got < 0 ? IN_LINE_ERROR : IN_LINE_PARTIAL;
}

int
message_has_line(const struct str *line)
{
	struct message *message = mem_alloc(sizeof *message);
	struct str read = STR_INIT;
	enum in_line state;
	int found = 0;

	message_open(message);
	do {
		state = in_line(&message->in, &read, '\n', line->len);
		if (state == IN_LINE_OK && !read.len)
			break;
		if (state == IN_LINE_OK && read.len + 1 == line->len &&
		    !memcmp(read.s, line->s, read.len))
			found = 1;
		if (state == IN_LINE_LONG)
			state = skip_line(&message->in);
	} while (!found && (state == IN_LINE_OK || state == IN_LINE_LONG));
	if (state == IN_LINE_ERROR)
		found = -1;
	str_free(&read);
	free(message);
	return found;
}
