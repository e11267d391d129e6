/*
 * One session with a server, as its steps share it. Every step is a function that returns
 * true when the next one may follow; one that returns false has left the end and the report.
 */
#ifndef REMOTE_DIALOGUE_H
#define REMOTE_DIALOGUE_H

#include "remote/connection.h"
#include "remote/job.h"
#include "remote/security.h"

struct session {
	const struct job *job;
	const struct security *security;
	struct connection *connection;
	struct reply reply;
	struct offers offers;
	struct str command;
	struct str peer;      /* the address, for reports */
	struct str tls_story; /* " by TLSv1.3 (cipher)", or nothing */
	const char *name;     /* of the server, for TLS: a host name or an address */
	enum session_end end;
};

/* --- Ways to end; each returns false ------------------------------------------------- */

/* With the peer's address, what it did, and what it said. */
bool end_with(
    struct session *s, enum message_report letter, enum session_end end, const char *what);
/* With the peer's address and what went wrong, a temporary failure. */
bool end_later(struct session *s, enum session_end end, const char *what, const char *why);

/* --- Talking; false where there is no reply to look at -------------------------------- */

/* end and when ("at DATA") are for the case that the connection is lost. */
bool heard(struct session *s, enum connection_reply result, enum session_end end, const char *when);
/* Sends s->command and reads the reply to it. */
bool ask(struct session *s, enum session_end end, const char *when);

/* The letter for a reply that is not the wanted one: only 5yz is for good. */
enum message_report letter_for(const struct reply *reply);

/* --- Steps in other files ------------------------------------------------------------ */

/* starttls.c: after an EHLO in the clear. True when the session may go on, encrypted or, where
 * that will do, in the clear; *encrypted tells. */
bool starttls(struct session *s, bool *encrypted);
/* The handshake. */
bool handshake(struct session *s);
/* auth.c: who we are. */
bool authenticate(struct session *s);

#endif
