/* One SMTP session: its state, and what every part of qmail-smtpd does with it. */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include "lib/bio.h"
#include "lib/chan.h"
#include "lib/tlsclient.h"
#include "smtpd/config.h"

/* Who is on the other side, from the environment that tcpserver sets; never NULL. */
struct client {
	const char *ip, *host, *info; /* info is "" where there is none */
	const char *local;            /* this host's name or address, for Received */
	const char *relay;            /* RELAYCLIENT, or NULL */
	const char *front;            /* TLSFRONT: who encrypts in front of us, or NULL */
	const char *bundle;           /* TLSBUNDLE: certificate, chain and key, or NULL */
	const char *tlsd;             /* TLSD: qmail-tlsd's socket, or NULL */
	bool auth_required, tls_required;
	bool tls_at_once; /* SMTPS: from the first byte */
	bool crowded;     /* TCPCROWDED: it has one of the last places */
};

struct session {
	struct chan chan;
	struct in in;
	struct out out;
	char in_buffer[16384], out_buffer[4096];
	struct tlsclient tls; /* what qmail-tlsd has agreed on */
	struct config config;
	struct client client;
	long long first_end, login_end, message_end, last_end; /* see patience.h */
	bool welcome;     /* it has named a recipient, or logged in */
	char **arguments; /* of this program, NULL-terminated */
	char **checker;   /* program and arguments, NULL where there is none */

	struct str helo;
	bool greeted, extended; /* HELO or EHLO; EHLO */

	bool transaction; /* MAIL has been accepted */
	bool sender_refused;
	struct str sender;
	unsigned long size;    /* as MAIL has told it; 0: it hasn't */
	bool judged;           /* the From field must be the user's, too: sender.h */
	struct str recipients; /* each with its NUL */
	unsigned long recipient_count;
	struct str threshold; /* of the spam filter, for these; empty: the site's */
	struct str refusal;   /* a text that names somebody, while it is replied */

	struct str user; /* who has authenticated; empty for nobody */

	unsigned long commands, errors, auth_failures;
	struct str line; /* the present command */
};

/* One reply line. A 5xx counts as an error; beyond the limit the session ends instead. */
void reply(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Hands over what was written, then ends the process: 0 for a session that ended well. */
void session_end(struct session *s, int code) __attribute__((noreturn));
/* The last words: a 421 (RFC 5321 section 3.8), without counting, and the end. */
void session_abort(struct session *s, const char *last) __attribute__((noreturn));
/*
 * The same in the middle of a message, for a fault of the client's: verdict is the reply to the
 * message. The client is listened to for a while, so that it hears it when it has sent all.
 */
void session_abort_data(struct session *s, const char *verdict) __attribute__((noreturn));

/*
 * Reads a command line without its CRLF into s->line. False for one that can't be a command:
 * it has been replied to. Ends the session where nothing comes.
 */
bool session_line(struct session *s, size_t max);

/* Forgets MAIL and RCPT. */
void session_reset(struct session *s);
/* The answers to STARTTLS: 454, and the session is as it was; 220, and it is as at its begin, with
 * the handshake to come next. */
void session_refuse_tls(struct session *s);
void session_agree_to_tls(struct session *s);

bool session_encrypted(const struct session *s);
/* The file with the certificate, its chain and, unless that has one of its own, the key. */
const char *session_certificate(const struct session *s);
bool session_authenticated(const struct session *s);
/* What is appended to recipients where the client may relay, NULL where it may not. */
const char *session_relay(const struct session *s);

/* One line for the log, with process id and the client's address in front. What others
 * chose goes through word or quotation (docs/logs.md). */
void note(const struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As lib/logword.h writes them; four of them are valid at a time. */
const char *word(const struct str *text);
const char *quotation(const char *text);

#endif
