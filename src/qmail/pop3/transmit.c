/* Messages as POP3 sends them: see transmit.h. */
#include "pop3/transmit.h"

#include <string.h>

struct progress {
	bool in_body;
	bool line_start;
	bool cr;            /* the last byte was a CR that has not been sent yet */
	bool empty;         /* the present line has no byte but perhaps that CR */
	unsigned long left; /* lines of the body that may follow */
};

static void
piece(struct out *out, struct progress *p, const char *bytes, size_t len)
{
	if (!len)
		return;
	if (p->line_start && bytes[0] == '.')
		out_char(out, '.');
	if (p->cr)
		out_char(out, '\r');
	if (p->cr || len > 1 || bytes[0] != '\r')
		p->empty = false;
	p->cr = bytes[len - 1] == '\r';
	p->line_start = false;
	out_bytes(out, bytes, p->cr ? len - 1 : len);
}

static void
line_end(struct out *out, struct progress *p)
{
	/* A CR before the LF was held back: one CRLF stays one. */
	out_text(out, "\r\n");
	if (p->in_body)
		p->left--;
	else
		p->in_body = p->empty;
	p->line_start = p->empty = true;
	p->cr = false;
}

static bool
wanted(const struct progress *p)
{
	return !p->in_body || p->left > 0;
}

bool
transmit(struct out *out, int fd, unsigned long body)
{
	struct progress p = {.line_start = true, .empty = true, .left = body};
	char buffer[65536];
	struct in in;
	ssize_t got = 0;

	in_fd(&in, fd, buffer, sizeof buffer);
	while (wanted(&p) && (got = in_fill(&in)) > 0) {
		size_t len, part;
		const char *bytes = in_peek(&in, &len), *stop = memchr(bytes, '\n', len);

		part = stop ? (size_t)(stop - bytes) : len;
		piece(out, &p, bytes, part);
		in_take(&in, stop ? part + 1 : part);
		if (stop)
			line_end(out, &p);
		if (out->failed)
			return false;
	}
	if (got < 0)
		return false;
	if (!p.line_start)
		out_text(out, "\r\n");
	out_text(out, ".\r\n");
	return true;
}

bool
transmit_size(int fd, unsigned long *size)
{
	char buffer[65536], last = '\n';
	struct in in;
	ssize_t got;

	*size = 0;
	in_fd(&in, fd, buffer, sizeof buffer);
	while ((got = in_fill(&in)) > 0) {
		size_t len, at;
		const char *bytes = in_peek(&in, &len), *stop;

		*size += len;
		for (at = 0; (stop = memchr(bytes + at, '\n', len - at)); at++) {
			at = (size_t)(stop - bytes);
			if ((at ? bytes[at - 1] : last) != '\r')
				++*size;
		}
		last = bytes[len - 1];
		in_take(&in, len);
	}
	/* The end of the last line is sent in any case. */
	if (last != '\n')
		*size += last == '\r' ? 1 : 2;
	return got == 0;
}
