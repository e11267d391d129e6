/*
 * A queued message, made into SMTP data. A pure function over pieces of any size.
 *
 * The rule, the same for every message:
 *  - a LF, or a CR LF, ends a line and becomes CR LF;
 *  - any other CR, and any NUL, becomes one space: such a byte never ends a line here, and
 *    never reaches a server that might think that it does;
 *  - a line longer than ENCODE_LINE bytes (RFC 5321 section 4.5.3.1.6) is broken by CR LF
 *    and a space, as often as needed;
 *  - a line that begins with a dot gets another one (section 4.5.2);
 *  - a last line without LF is completed.
 *
 * So the output consists of lines of at most ENCODE_LINE bytes (not counting the added dot),
 * has CR and LF only as the pair, and a line that is a single dot only at its very end.
 *
 * Or, stored: the same lines as the queue has them, ended by LF and without those dots. Whoever
 * signs a message signs it like this, since nothing of it is changed on its way any more.
 */
#ifndef REMOTE_ENCODE_H
#define REMOTE_ENCODE_H

#include "lib/str.h"

#define ENCODE_LINE 998

struct encoder {
	size_t column;  /* bytes of this line already put out, the added dot not among them */
	bool held_cr;   /* a CR was read whose meaning the next byte decides */
	size_t put;     /* bytes of output so far */
	bool eight_bit; /* a byte above 127 was seen */
	bool altered;   /* a stray CR, a NUL or a long line was changed */
	bool stored;    /* as the queue has it; set before the first byte */
};

#define ENCODER_INIT                                                                               \
	{                                                                                          \
		0, false, 0, false, false, false                                                   \
	}

/* Adds the encoded form of bytes to to; to may be NULL, to learn the size only. */
void encode(struct encoder *encoder, struct str *to, const char *bytes, size_t len);
/* Completes the last line. The "." CR LF of the protocol is the caller's to add. */
void encode_end(struct encoder *encoder, struct str *to);

#endif
