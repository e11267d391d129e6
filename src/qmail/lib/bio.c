/* Buffered input and output: see bio.h. */
#include "lib/bio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ssize_t
fd_read(int fd, char *buffer, size_t len)
{
	ssize_t got;

	do
		got = read(fd, buffer, len);
	while (got < 0 && errno == EINTR);
	return got;
}

ssize_t
fd_write(int fd, const char *bytes, size_t len)
{
	ssize_t put;

	do
		put = write(fd, bytes, len);
	while (put < 0 && errno == EINTR);
	return put;
}

bool
fd_write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t put = fd_write(fd, at, len);

		if (put <= 0)
			return false;
		at += put;
		len -= (size_t)put;
	}
	return true;
}

/* A descriptor as the context of a stream. */
static void *
context_of(int fd)
{
	return (void *)(intptr_t)fd;
}

static ssize_t
read_context(void *context, char *buffer, size_t len)
{
	return fd_read((int)(intptr_t)context, buffer, len);
}

static ssize_t
write_context(void *context, const char *bytes, size_t len)
{
	return fd_write((int)(intptr_t)context, bytes, len);
}

void
in_open(struct in *in, bio_read read, void *context, char *buffer, size_t cap)
{
	*in = (struct in){.read = read, .context = context, .buffer = buffer, .cap = cap};
}

void
in_fd(struct in *in, int fd, char *buffer, size_t cap)
{
	in_open(in, read_context, context_of(fd), buffer, cap);
}

ssize_t
in_fill(struct in *in)
{
	ssize_t got;

	if (in->at < in->end)
		return (ssize_t)(in->end - in->at);
	if (in->failed) {
		errno = in->error;
		return -1;
	}
	got = in->read(in->context, in->buffer, in->cap);
	if (got < 0) {
		in->failed = true;
		in->error = errno;
		return -1;
	}
	in->at = 0;
	in->end = (size_t)got;
	return got;
}

const char *
in_peek(const struct in *in, size_t *len)
{
	*len = in->end - in->at;
	return in->buffer + in->at;
}

void
in_take(struct in *in, size_t len)
{
	in->at += len;
}

int
in_byte(struct in *in)
{
	ssize_t got = in_fill(in);

	if (got <= 0)
		return got ? IN_ERROR : IN_END;
	return (unsigned char)in->buffer[in->at++];
}

void
in_discard(struct in *in)
{
	in->at = in->end = 0;
}

enum in_line
in_line(struct in *in, struct str *line, char separator, size_t max)
{
	str_clear(line);
	for (;;) {
		ssize_t got = in_fill(in);
		const char *bytes, *stop;
		size_t len, part;

		if (got < 0)
			return IN_LINE_ERROR;
		if (got == 0)
			return IN_LINE_PARTIAL;
		bytes = in_peek(in, &len);
		stop = memchr(bytes, separator, len);
		part = stop ? (size_t)(stop - bytes) : len;
		if (part > max - line->len) {
			part = max - line->len;
			str_add_bytes(line, bytes, part);
			in_take(in, part);
			return IN_LINE_LONG;
		}
		str_add_bytes(line, bytes, part);
		in_take(in, stop ? part + 1 : part);
		if (stop)
			return IN_LINE_OK;
	}
}

void
out_open(struct out *out, bio_write write, void *context, char *buffer, size_t cap)
{
	*out = (struct out){.write = write, .context = context, .buffer = buffer, .cap = cap};
}

void
out_fd(struct out *out, int fd, char *buffer, size_t cap)
{
	out_open(out, write_context, context_of(fd), buffer, cap);
}

static void
hand_over(struct out *out, const char *bytes, size_t len)
{
	while (len && !out->failed) {
		ssize_t put = out->write(out->context, bytes, len);

		if (put <= 0) {
			out->failed = true;
			out->error = put ? errno : EIO;
			return;
		}
		bytes += put;
		len -= (size_t)put;
	}
}

bool
out_flush(struct out *out)
{
	hand_over(out, out->buffer, out->len);
	out->len = 0;
	if (out->failed)
		errno = out->error;
	return !out->failed;
}

void
out_bytes(struct out *out, const void *bytes, size_t len)
{
	if (len > out->cap - out->len) {
		out_flush(out);
		if (len >= out->cap) {
			hand_over(out, bytes, len);
			return;
		}
	}
	if (!len)
		return;
	memcpy(out->buffer + out->len, bytes, len);
	out->len += len;
}

void
out_text(struct out *out, const char *text)
{
	out_bytes(out, text, strlen(text));
}

void
out_str(struct out *out, const struct str *text)
{
	out_bytes(out, text->s, text->len);
}

void
out_char(struct out *out, char c)
{
	out_bytes(out, &c, 1);
}

void
out_number(struct out *out, unsigned long number)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%lu", number);
	out_text(out, digits);
}

void
say(const char *format, ...)
{
	struct str line = STR_INIT;
	char text[8192];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	str_set(&line, text);
	/* One that was cut is still a line of its own. */
	if (len >= (int)sizeof text)
		line.s[line.len - 1] = '\n';
	fd_write_all(2, line.s, line.len);
	str_free(&line);
}
