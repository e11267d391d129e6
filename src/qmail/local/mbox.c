/* Delivery into an mbox file: see mbox.h. */
#include "local/mbox.h"

#include "local/limit.h"
#include "local/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_LIMIT 30
#define WRITE_LIMIT 86400
#define SEPARATOR "From "
#define SEPARATOR_LEN (sizeof SEPARATOR - 1)

void
mbox_quoter_open(struct mbox_quoter *quoter, struct out *out)
{
	*quoter = (struct mbox_quoter){.out = out};
}

/* Writes what was held back. */
static void
release(struct mbox_quoter *quoter)
{
	if (quoter->from == SEPARATOR_LEN)
		out_char(quoter->out, '>');
	for (; quoter->marks; quoter->marks--)
		out_char(quoter->out, '>');
	out_bytes(quoter->out, SEPARATOR, quoter->from);
	quoter->from = 0;
	quoter->in_line = true;
}

/* A byte while the start of the line is undecided; false: not taken, and decided now. */
static bool
hold_back(struct mbox_quoter *quoter, char c)
{
	if (c == '>' && !quoter->from) {
		quoter->marks++;
		return true;
	}
	if (c == SEPARATOR[quoter->from]) {
		quoter->from++;
		if (quoter->from == SEPARATOR_LEN)
			release(quoter);
		return true;
	}
	release(quoter);
	return false;
}

void
mbox_quoter_bytes(struct mbox_quoter *quoter, const char *bytes, size_t len)
{
	while (len) {
		const char *stop;
		size_t part;

		if (!quoter->in_line && hold_back(quoter, *bytes)) {
			bytes++;
			len--;
			continue;
		}
		stop = memchr(bytes, '\n', len);
		part = stop ? (size_t)(stop - bytes) + 1 : len;
		out_bytes(quoter->out, bytes, part);
		quoter->in_line = !stop;
		bytes += part;
		len -= part;
	}
}

void
mbox_quoter_end(struct mbox_quoter *quoter)
{
	if (quoter->marks || quoter->from)
		release(quoter);
	if (quoter->in_line)
		out_char(quoter->out, '\n');
	out_char(quoter->out, '\n');
}

static bool
append(int fd, const struct delivery *d)
{
	static struct message message;
	static char buffer[16384];
	struct mbox_quoter quoter;
	struct out out;
	ssize_t got;

	out_open(&out, limit_write, (void *)(intptr_t)fd, buffer, sizeof buffer);
	out_str(&out, &d->from_line);
	out_str(&out, &d->return_path);
	out_str(&out, &d->delivered_to);
	mbox_quoter_open(&quoter, &out);
	message_open(&message);
	while ((got = in_fill(&message.in)) > 0 && !out.failed) {
		size_t len;
		const char *bytes = in_peek(&message.in, &len);

		mbox_quoter_bytes(&quoter, bytes, len);
		in_take(&message.in, len);
	}
	if (got < 0)
		return false;
	mbox_quoter_end(&quoter);
	return out_flush(&out);
}

static bool
lock(int fd)
{
	int result;

	limit_start(LOCK_LIMIT);
	do
		result = flock(fd, LOCK_EX);
	while (result < 0 && errno == EINTR && !limit_over());
	limit_end();
	return result == 0;
}

static enum outcome
append_to_file(const char *file, int fd, const struct delivery *d)
{
	off_t old_end;
	bool done;
	int error;

	if (!lock(fd)) {
		report("Can't lock %s within %d seconds. (#4.3.0)", file, LOCK_LIMIT);
		return OUTCOME_LATER;
	}
	old_end = lseek(fd, 0, SEEK_END);
	limit_start(WRITE_LIMIT);
	done = old_end >= 0 && append(fd, d) && fsync(fd) == 0;
	error = errno;
	limit_end();
	if (done)
		return OUTCOME_DONE;
	if (old_end >= 0 && ftruncate(fd, old_end))
		report("Can't cut %s back to its old length. (#4.3.0)", file);
	report("Can't append to %s: %s. (#4.3.0)", file, strerror(error));
	return OUTCOME_LATER;
}

enum outcome
mbox_deliver(const char *file, const struct delivery *d)
{
	int fd =
	    open(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	enum outcome outcome = OUTCOME_LATER;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		report("Can't open %s: %s. (#4.3.0)", file, strerror(errno));
		if (fd >= 0)
			close(fd);
		return OUTCOME_LATER;
	}
	if (S_ISREG(st.st_mode))
		outcome = append_to_file(file, fd, d);
	else if (S_ISCHR(st.st_mode) && append(fd, d))
		outcome = OUTCOME_DONE;
	else
		report("%s is not a file that can be appended to. (#4.3.0)", file);
	if (close(fd) && outcome == OUTCOME_DONE) {
		report("Can't close %s: %s. (#4.3.0)", file, strerror(errno));
		outcome = OUTCOME_LATER;
	}
	return outcome;
}
