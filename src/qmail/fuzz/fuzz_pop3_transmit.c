/*
 * A stored message as RETR and TOP send it: whatever its bytes, the client sees one line
 * with nothing but a dot, the last one. The first byte is the number of TOP's lines.
 */
#include "fuzz/fuzz.h"
#include "lib/bio.h"
#include "pop3/transmit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static ssize_t
collect(void *context, const char *bytes, size_t len)
{
	str_add_bytes(context, bytes, len);
	return (ssize_t)len;
}

static void
send_stored(const uint8_t *bytes, size_t len, unsigned long lines, struct str *sent)
{
	char buffer[64];
	struct out out;
	int fd = memfd_create("message", 0);

	MUST(fd >= 0 && fd_write_all(fd, bytes, len) && lseek(fd, 0, SEEK_SET) == 0);
	out_open(&out, collect, sent, buffer, sizeof buffer);
	MUST(transmit(&out, fd, lines) && out_flush(&out));
	close(fd);
}

static void
one_end(const struct str *sent)
{
	const char *first;

	MUST(sent->len >= 3 && !memcmp(sent->s + sent->len - 3, ".\r\n", 3));
	MUST(sent->len == 3 || !memcmp(sent->s + sent->len - 5, "\r\n", 2));
	if (sent->len == 3)
		return;
	MUST(memcmp(sent->s, ".\r\n", 3) != 0);
	first = memmem(sent->s, sent->len, "\r\n.\r\n", 5);
	MUST(first && first + 5 == sent->s + sent->len);
}

/* What LIST says is what comes: without the stuffed dots and the last line. */
static void
right_size(const uint8_t *bytes, size_t len, const struct str *sent)
{
	size_t stuffed = sent->s[0] == '.' && sent->len > 3, at;
	int fd = memfd_create("message", 0);
	unsigned long size;

	for (at = 0; at + 3 < sent->len; at++)
		stuffed += !memcmp(sent->s + at, "\r\n.", 3) && at + 5 < sent->len;
	MUST(fd >= 0 && fd_write_all(fd, bytes, len) && lseek(fd, 0, SEEK_SET) == 0);
	MUST(transmit_size(fd, &size) && size == sent->len - 3 - stuffed);
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str whole = STR_INIT, top = STR_INIT;

	if (!len)
		return 0;
	send_stored(bytes + 1, len - 1, TRANSMIT_ALL, &whole);
	one_end(&whole);
	right_size(bytes + 1, len - 1, &whole);
	send_stored(bytes + 1, len - 1, bytes[0], &top);
	one_end(&top);
	MUST(top.len <= whole.len && !memcmp(top.s, whole.s, top.len - 3));
	str_free(&whole);
	str_free(&top);
	return 0;
}
