/* A stored message as POP3 sends it: RFC 1939 sections 3 and 7 (TOP). */
#ifndef POP3_TRANSMIT_H
#define POP3_TRANSMIT_H

#include "lib/bio.h"

#define TRANSMIT_ALL (~0UL)

/*
 * Lines from fd, each ended by CRLF (a stored CRLF stays one) and a dot before every dot
 * that starts one, then the final dot. After the first empty line, at most body lines
 * follow. False where the file could not be read to its end; what was sent so far is no
 * whole message then, and the session must not go on.
 */
bool transmit(struct out *out, int fd, unsigned long body);

/*
 * How many bytes the whole message from fd has on the wire, as RFC 1939 section 11 counts them:
 * line ends are two bytes, stuffed dots and the last line don't count. False as above.
 */
bool transmit_size(int fd, unsigned long *size);

#endif
