/*
 * TLS 1.2 and 1.3 over a struct chan, server and client side.
 *
 * libssl is opened with dlopen when the first session is prepared, so a process that never
 * speaks TLS does not load it. A session is made in two steps, since a peer must be
 * answered in between:
 *
 *	tls = tls_server(&files, &error);        certificate, key: all that can fail locally
 *	if (!tls) ...                            "454 TLS not available": error says why, one line
 *	...                                      "220 ready"; forget what was read ahead
 *	if (!tls_start(tls, &chan, &error)) ...  handshake; chan.timeout and .deadline hold
 *	chan_read, chan_write                    now go through TLS
 *	chan_end(&chan);                         close_notify, memory; chan is in the clear again
 *
 * Nothing is ever resumed, renegotiated or compressed. Errors are one printable line.
 */
#ifndef LIB_TLS_H
#define LIB_TLS_H

#include "lib/chan.h"
#include "lib/str.h"

struct tls; /* one session, or one about to be */

struct tls_files {
	const char *certificate; /* PEM: the leaf, then its chain; a client may have none (NULL) */
	const char *key;         /* PEM; NULL: it is in the certificate's file */
	const char *ciphers;     /* OpenSSL's list for TLS 1.2; NULL: the default below */
};

/* Ephemeral keys and authenticated encryption. A client without a duty to verify takes
 * TLS_CIPHERS_ANY, since weak encryption beats none there. */
#define TLS_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
#define TLS_CIPHERS_ANY "HIGH:!aNULL:!MD5"

struct tls *tls_server(const struct tls_files *files, struct str *error);

/*
 * name is the peer's, sent as SNI where it is a host name, and compared with its
 * certificate: a host name (RFC 6125; wildcards only as the whole leftmost label) or an
 * address as text. ca is a PEM file or a directory of hashed certificates; NULL means the
 * system's, as OpenSSL knows them (SSL_CERT_FILE and SSL_CERT_DIR count). TLS_NOBODY is nobody: to
 * read the system's takes ten times as long as a handshake, for nothing where no chain counts.
 * With must_verify tls_start fails unless the peer's chain leads to a trusted root and the name
 * fits; without, tls_verified tells what it would have said.
 */
#define TLS_NOBODY ""

struct tls *tls_client(const struct tls_files *files, const char *name, const char *ca,
    bool must_verify, struct str *error);

/*
 * Before tls_start: replaces the name that the certificate is compared with by these, any of
 * which will do; one that begins with a dot stands for every name below it. An address can
 * only stand alone. SNI stays.
 */
bool tls_expect(struct tls *tls, const char *const *names, size_t count, struct str *error);

/* A TLSA record (RFC 6698 section 2.1). */
struct tls_tlsa {
	unsigned char usage, selector, matching;
	const unsigned char *data;
	size_t len;
};

/*
 * Before tls_start, instead of tls_expect: the peer proves itself by these records (RFC 7671, RFC
 * 7672) and by nothing else. DANE-EE(3) binds a key, whatever name and dates the certificate has;
 * with DANE-TA(2) the chain leads to what the record has, and the certificate shows one of the
 * names. *usable of the records are of use; where none is, must_verify is off. False, with a
 * reason, for trouble of our own.
 */
bool tls_dane(struct tls *tls, const struct tls_tlsa *records, size_t count,
    const char *const *names, size_t names_count, size_t *usable, struct str *error);

/*
 * Handshake. True: chan->tls is set, and its read and write are TLS's. False: tls is gone, the
 * channel is of no further use, and error says why ("certificate verify failed: hostname mismatch",
 * "timed out" ...).
 */
bool tls_start(struct tls *tls, struct chan *chan, struct str *error);

/* Throws away a session that was prepared but not started. */
void tls_discard(struct tls *tls);

/*
 * Also for who links OpenSSL: the text of an error's code, for which the library has that reason or
 * NULL; and a callback for an encrypted key (SSL_CTX_set_default_passwd_cb(3)), which is of no use
 * to a daemon: it never asks a terminal.
 */
const char *tls_reason(unsigned long code, const char *reason);
int tls_no_passphrase(char *buffer, int size, int writing, void *context);

/* NULL when the peer's chain and name are fine, else the reason why not (a constant). */
const char *tls_verified(const struct tls *tls);

#endif
