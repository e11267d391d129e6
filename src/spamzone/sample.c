/* What is scanned of a large message: see sample.h. */
#include "sample.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	DEPTH = 16,         /* multiparts within each other; deeper ones are text */
	BOUNDARY_MAX = 200, /* RFC 2046 allows 70 */
	HEADER_MAX = 8192,  /* of a part, as it is repeated */
	TAIL_MAX = 49152,   /* SpamAssassin looks at 50000 bytes of each part's text */
};

struct piece {
	const char *at;
	size_t length;
};

/* Where in the tree of parts a line is. All pieces are in the message. */
struct place {
	unsigned long part; /* parts that have begun before */
	size_t depth;
	struct piece open[DEPTH]; /* the boundaries of the multiparts around it */
	bool in_header;
	struct piece header; /* of the part, as far as it goes */
	bool base64;
	size_t digits; /* of base64 in its body before the line */
};

static bool
is_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

static size_t
count_digits(const char *text, size_t length)
{
	size_t i, count = 0;

	for (i = 0; i < length; i++)
		count += is_digit(text[i]);
	return count;
}

/* The first place of word, in either case, or NULL. */
static const char *
find_word(struct piece in, const char *word)
{
	size_t length = strlen(word), i;

	for (i = 0; i + length <= in.length; i++)
		if (!strncasecmp(in.at + i, word, length))
			return in.at + i;
	return NULL;
}

/* The boundary that a Content-Type names; of length 0 where there is none of use. */
static struct piece
find_boundary(struct piece type)
{
	struct piece boundary = {NULL, 0};
	const char *end = type.at + type.length, *at = find_word(type, "boundary");
	bool quoted;

	if (!at)
		return boundary;
	at += strlen("boundary");
	while (at < end && strchr(" \t\r\n=", *at))
		at++;
	quoted = at < end && *at == '"';
	boundary.at = at += quoted;
	while (at < end && (quoted ? *at != '"' : !strchr(" \t\r\n;\"", *at)))
		at++;
	boundary.length = (size_t)(at - boundary.at);
	if (boundary.length > BOUNDARY_MAX || memchr(boundary.at, '\n', boundary.length))
		boundary.length = 0;
	return boundary;
}

static void
begin_body(struct place *p)
{
	struct piece type = {NULL, 0}, encoding = {NULL, 0};

	p->in_header = false;
	p->digits = 0;
	if (find_field(p->header.at, p->header.length, "Content-Type:", &type.at, &type.length) &&
	    find_word(type, "multipart/") && p->depth < DEPTH) {
		struct piece boundary = find_boundary(type);

		if (boundary.length)
			p->open[p->depth++] = boundary;
	}
	p->base64 = find_field(p->header.at, p->header.length,
			"Content-Transfer-Encoding:", &encoding.at, &encoding.length) &&
		    find_word(encoding, "base64");
}

/* Whether the line is --BOUNDARY or --BOUNDARY--; blanks may follow. */
static bool
is_boundary(const char *line, size_t length, const struct piece *boundary, bool *last)
{
	size_t at = 2 + boundary->length;

	if (length < at || memcmp(line, "--", 2) ||
	    memcmp(line + 2, boundary->at, boundary->length))
		return false;
	*last = length - at >= 2 && !memcmp(line + at, "--", 2);
	for (at += *last ? 2 : 0; at < length; at++)
		if (!strchr(" \t\r\n", line[at]))
			return false;
	return true;
}

/* Whether the line is a boundary of a multipart around it, which ends all within that one. */
static bool
at_boundary(struct place *p, const char *line, size_t length)
{
	size_t i = p->depth;

	while (i--) {
		bool last;

		if (!is_boundary(line, length, &p->open[i], &last))
			continue;
		p->depth = last ? i : i + 1;
		p->part++;
		p->in_header = !last;
		p->header = (struct piece){line + length, 0};
		p->base64 = false;
		return true;
	}
	return false;
}

static void
walk_line(struct place *p, const char *line, size_t length)
{
	if (at_boundary(p, line, length))
		return;
	if (p->in_header && ends_header(line, length))
		begin_body(p);
	else if (p->in_header)
		p->header.length = (size_t)(line - p->header.at) + length;
	else if (p->base64)
		p->digits += count_digits(line, length);
}

/* Goes on to a later place; both are offsets of lines, or the later one is within a line. */
static void
walk(struct place *p, const char *message, size_t from, size_t to)
{
	while (from < to) {
		const char *end = memchr(message + from, '\n', to - from);
		size_t length = end ? (size_t)(end - message) + 1 - from : to - from;

		walk_line(p, message + from, length);
		from += length;
	}
}

static void
add_piece(struct bytes *to, struct piece piece)
{
	bytes_add(to, piece.at, piece.length);
}

/* Ends the beginning and starts the part that the end is in, as a part next to the last one. */
static void
add_part(struct bytes *to, const struct place *before, const struct place *after)
{
	size_t i = 0;
	struct piece header = after->header;

	while (i < before->depth && i < after->depth && before->open[i].at == after->open[i].at)
		i++;
	if (before->depth) {
		bytes_text(to, "\n--");
		add_piece(to, before->open[i ? i - 1 : 0]);
		bytes_text(to, "\n");
	}
	for (; i < after->depth; i++) {
		bytes_text(to, "Content-Type: multipart/mixed; boundary=\"");
		add_piece(to, after->open[i]);
		bytes_text(to, "\"\n\n--");
		add_piece(to, after->open[i]);
		bytes_text(to, "\n");
	}
	if (header.length > HEADER_MAX)
		header.length = 0;
	add_piece(to, header);
	if (!after->in_header)
		bytes_text(to, "\n");
}

/* "--" and a boundary that nobody who wrote the message could know. */
static void
make_delimiter(char *to, size_t size)
{
	unsigned long number[2] = {0, 0};

	if (getrandom(number, sizeof number, 0) != sizeof number)
		_exit(111);
	snprintf(to, size, "--=_sample_%016lx%016lx", number[0], number[1]);
}

/* The fields of a header, but for those that say how the body is to be read; or only those. */
static void
add_fields(struct bytes *to, struct piece header, bool of_body)
{
	static const char content[] = "Content-";
	size_t at = 0, added = 0, field;

	while ((field = field_length(header.at + at, header.length - at))) {
		bool is = field >= sizeof content - 1 &&
			  !strncasecmp(header.at + at, content, sizeof content - 1);

		if (is == of_body && (!of_body || added + field <= HEADER_MAX)) {
			bytes_add(to, header.at + at, field);
			added += field;
		}
		at += field;
	}
}

/* A message of one part becomes one of two, with the same header; the head is behind the header. */
static void
add_halves(struct bytes *to, const struct place *top, struct piece head)
{
	char delimiter[64];

	make_delimiter(delimiter, sizeof delimiter);
	add_fields(to, top->header, false);
	bytes_text(to, "Content-Type: multipart/mixed; boundary=\"");
	bytes_text(to, delimiter + 2);
	bytes_text(to, "\"\n\n");
	bytes_text(to, delimiter);
	bytes_text(to, "\n");
	add_fields(to, top->header, true);
	add_piece(to, head);
	bytes_text(to, "\n");
	bytes_text(to, delimiter);
	bytes_text(to, "\n");
	add_fields(to, top->header, true);
	bytes_text(to, "\n");
}

void
sample(const char *message, size_t length, size_t size, struct bytes *to)
{
	struct place before = {.in_header = true, .header = {message, 0}}, after;
	size_t last = size / 2 < TAIL_MAX ? size / 2 : TAIL_MAX;
	size_t head = size - last, tail = length - last;
	const char *end;

	if (length <= size) {
		bytes_add(to, message, length);
		return;
	}
	/* Whole lines, unless they are so long that there would be little left. */
	end = memrchr(message + head / 2, '\n', head - head / 2);
	head = end ? (size_t)(end - message) + 1 : head;
	end = memchr(message + tail - 1, '\n', (length - tail) / 2 + 1);
	tail = end ? (size_t)(end - message) + 1 : tail;

	walk(&before, message, 0, head);
	after = before;
	walk(&after, message, head, tail);
	if (!before.part && !before.depth && !before.in_header) {
		size_t body = before.header.length;

		add_halves(to, &before, (struct piece){message + body, head - body});
	} else {
		bytes_add(to, message, head);
		if (before.in_header && message[head - 1] != '\n')
			bytes_text(to, "\n");
		if (before.in_header && after.part == before.part)
			bytes_text(to, after.in_header ? "" : "\n");
		else
			add_part(to, &before, &after);
	}
	if (after.base64) {
		size_t skip = (4 - after.digits % 4) % 4;

		while (skip && tail < length)
			if (is_digit(message[tail++]))
				skip--;
	}
	bytes_add(to, message + tail, length - tail);
}
