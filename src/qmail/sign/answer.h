/*
 * What the signer answers: one packet. Pure functions over bytes.
 *
 *	K	header fields behind it, for the top of the message; none where it isn't ours to
 *sign Z	why the message can't be signed now, behind it: one line
 *
 * The fields have lines ended by LF, of at most 998 bytes (RFC 5322 section 2.1.1). Whatever isn't
 * fields alone could be taken for a part of the message, and is not believed.
 */
#ifndef SIGN_ANSWER_H
#define SIGN_ANSWER_H

#include "lib/str.h"

#define ANSWER_MAX 65536 /* bytes of the packet */

/* True: *fields are those to put on top. False: *why is a line for the log, made printable. */
bool answer_parse(const char *packet, size_t len, struct str *fields, struct str *why);

#endif
