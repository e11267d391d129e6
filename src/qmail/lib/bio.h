/*
 * Buffered input and output over anything that reads and writes like a descriptor.
 *
 * A struct in or out is set up over a function and its context; in_fd and out_fd are the
 * plain ones over a file descriptor (read and write repeated on EINTR). The buffer belongs
 * to the caller. After an error every later call fails the same way, so a writer may be
 * checked once, at out_flush.
 */
#ifndef LIB_BIO_H
#define LIB_BIO_H

#include "lib/str.h"

#include <sys/types.h>

typedef ssize_t (*bio_read)(void *context, char *buffer, size_t len);
typedef ssize_t (*bio_write)(void *context, const char *bytes, size_t len);

#define IN_END (-1)
#define IN_ERROR (-2)

struct in {
	bio_read read;
	void *context;
	char *buffer;
	size_t cap, at, end;
	bool failed; /* errno of the failure is in error */
	int error;
};

void in_open(struct in *in, bio_read read, void *context, char *buffer, size_t cap);
void in_fd(struct in *in, int fd, char *buffer, size_t cap);

/* Makes at least one byte available: how many are, 0 at the end, -1 on error. */
ssize_t in_fill(struct in *in);
/* The bytes made available, and taking len of them. */
const char *in_peek(const struct in *in, size_t *len);
void in_take(struct in *in, size_t len);
/* Next byte 0..255, IN_END or IN_ERROR. */
int in_byte(struct in *in);
/* Forgets what was read ahead: after STARTTLS nothing sent in the clear may count. */
void in_discard(struct in *in);

enum in_line {
	IN_LINE_OK,      /* the line, without the separator */
	IN_LINE_PARTIAL, /* the end came first; line holds what there was, perhaps nothing */
	IN_LINE_LONG,    /* more than max bytes before the separator; max were kept, no more read */
	IN_LINE_ERROR
};
/* Reads up to a separator into line (replaced), keeping at most max bytes. */
enum in_line in_line(struct in *in, struct str *line, char separator, size_t max);

struct out {
	bio_write write;
	void *context;
	char *buffer;
	size_t cap, len;
	bool failed;
	int error;
};

void out_open(struct out *out, bio_write write, void *context, char *buffer, size_t cap);
void out_fd(struct out *out, int fd, char *buffer, size_t cap);
void out_bytes(struct out *out, const void *bytes, size_t len);
void out_text(struct out *out, const char *text);
void out_str(struct out *out, const struct str *text);
void out_char(struct out *out, char c);
void out_number(struct out *out, unsigned long number);
/* True when everything written so far has been handed to write. */
bool out_flush(struct out *out);

/* read and write over EINTR; write_all also over short writes. */
ssize_t fd_read(int fd, char *buffer, size_t len);
ssize_t fd_write(int fd, const char *bytes, size_t len);
bool fd_write_all(int fd, const void *bytes, size_t len);

/* Unbuffered lines for descriptor 2; never fails, never buffers. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
