/* The message on descriptor 0: a look at it, and sending it as SMTP data. */
#ifndef REMOTE_MESSAGE_H
#define REMOTE_MESSAGE_H

#include "lib/bio.h"

struct message {
	bool known;  /* the rest holds; false for a pipe, which can be read only once */
	size_t size; /* as SIZE counts: RFC 1870 section 3, without the dots added */
	bool eight_bit;
};

/* Reads the message once and goes back. False when reading fails. */
bool message_inspect(struct message *message);

enum message_sent {
	MESSAGE_WRITTEN,    /* the final dot included; out may still hold a part */
	MESSAGE_UNREADABLE, /* the queue's file; the data was not completed */
	MESSAGE_UNWRITTEN   /* out has failed */
};
enum message_sent message_send(struct out *out);

#endif
