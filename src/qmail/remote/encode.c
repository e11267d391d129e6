/* SMTP data from queued bytes, or what will stay as it is: see encode.h. */
#include "remote/encode.h"

#include <string.h>

static void
put(struct encoder *encoder, struct str *to, const char *bytes, size_t len)
{
	if (to)
		str_add_bytes(to, bytes, len);
	encoder->put += len;
}

static void
put_end(struct encoder *encoder, struct str *to)
{
	if (encoder->stored)
		put(encoder, to, "\n", 1);
	else
		put(encoder, to, "\r\n", 2);
}

/* Bytes inside a line: none of them CR, LF or NUL. */
static void
put_text(struct encoder *encoder, struct str *to, const char *bytes, size_t len)
{
	while (len) {
		size_t part;

		if (encoder->column == ENCODE_LINE) {
			put_end(encoder, to);
			put(encoder, to, " ", 1);
			encoder->column = 1;
			encoder->altered = true;
		}
		if (encoder->column == 0 && bytes[0] == '.' && !encoder->stored)
			put(encoder, to, ".", 1);
		part = ENCODE_LINE - encoder->column;
		if (part > len)
			part = len;
		put(encoder, to, bytes, part);
		encoder->column += part;
		bytes += part;
		len -= part;
	}
}

static void
put_space(struct encoder *encoder, struct str *to)
{
	put_text(encoder, to, " ", 1);
	encoder->altered = true;
}

static void
put_line_end(struct encoder *encoder, struct str *to)
{
	put_end(encoder, to);
	encoder->column = 0;
}

/* How many bytes from the start are plain text. */
static size_t
text_length(struct encoder *encoder, const char *bytes, size_t len)
{
	unsigned char all = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c <= '\r' && (c == '\n' || c == '\r' || c == 0))
			break;
		all |= c;
	}
	if (all & 0x80)
		encoder->eight_bit = true;
	return i;
}

void
encode(struct encoder *encoder, struct str *to, const char *bytes, size_t len)
{
	while (len) {
		size_t plain;

		if (encoder->held_cr && *bytes != '\n')
			put_space(encoder, to);
		encoder->held_cr = false;
		plain = text_length(encoder, bytes, len);
		put_text(encoder, to, bytes, plain);
		bytes += plain;
		len -= plain;
		if (!len)
			return;
		if (*bytes == '\n')
			put_line_end(encoder, to);
		else if (*bytes == '\r')
			encoder->held_cr = true;
		else
			put_space(encoder, to);
		bytes++;
		len--;
	}
}

void
encode_end(struct encoder *encoder, struct str *to)
{
	if (encoder->held_cr)
		put_space(encoder, to);
	encoder->held_cr = false;
	if (encoder->column)
		put_line_end(encoder, to);
}
