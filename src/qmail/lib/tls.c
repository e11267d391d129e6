/*
 * TLS over a channel: see tls.h. OpenSSL reads and writes memory; this file moves the bytes
 * between there and the descriptors, so every wait obeys the channel's limits whatever
 * part of a record has arrived.
 */
#include "lib/tls.h"

#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/netip.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT(number) #number
#define SONAME(number) "libssl.so." TEXT(number)
#define ERROR_MAX 200

/* What is used of libssl and, through it, of libcrypto. */
#define FUNCTIONS(X)                                                                               \
	X(TLS_server_method)                                                                       \
	X(TLS_client_method)                                                                       \
	X(SSL_CTX_new)                                                                             \
	X(SSL_CTX_free)                                                                            \
	X(SSL_CTX_ctrl)                                                                            \
	X(SSL_CTX_set_options)                                                                     \
	X(SSL_CTX_set_num_tickets)                                                                 \
	X(SSL_CTX_set_cipher_list)                                                                 \
	X(SSL_CTX_set_default_passwd_cb)                                                           \
	X(SSL_CTX_use_certificate_chain_file)                                                      \
	X(SSL_CTX_use_PrivateKey_file)                                                             \
	X(SSL_CTX_check_private_key)                                                               \
	X(SSL_CTX_set_default_verify_paths)                                                        \
	X(SSL_CTX_load_verify_file)                                                                \
	X(SSL_CTX_load_verify_dir)                                                                 \
	X(SSL_CTX_set_verify)                                                                      \
	X(SSL_CTX_dane_enable)                                                                     \
	X(SSL_dane_enable)                                                                         \
	X(SSL_dane_set_flags)                                                                      \
	X(SSL_dane_tlsa_add)                                                                       \
	X(SSL_new)                                                                                 \
	X(SSL_free)                                                                                \
	X(SSL_ctrl)                                                                                \
	X(SSL_set_bio)                                                                             \
	X(SSL_set1_host)                                                                           \
	X(SSL_add1_host)                                                                           \
	X(SSL_set_hostflags)                                                                       \
	X(SSL_get0_param)                                                                          \
	X(SSL_set_accept_state)                                                                    \
	X(SSL_set_connect_state)                                                                   \
	X(SSL_do_handshake)                                                                        \
	X(SSL_read)                                                                                \
	X(SSL_write)                                                                               \
	X(SSL_shutdown)                                                                            \
	X(SSL_get_error)                                                                           \
	X(SSL_get_version)                                                                         \
	X(SSL_get_current_cipher)                                                                  \
	X(SSL_CIPHER_get_name)                                                                     \
	X(SSL_get_verify_result)                                                                   \
	X(SSL_get0_peer_certificate)                                                               \
	X(X509_verify_cert_error_string)                                                           \
	X(X509_VERIFY_PARAM_set1_ip)                                                               \
	X(X509_VERIFY_PARAM_set1_ip_asc)                                                           \
	X(BIO_new)                                                                                 \
	X(BIO_s_mem)                                                                               \
	X(BIO_ctrl)                                                                                \
	X(BIO_read)                                                                                \
	X(BIO_write)                                                                               \
	X(ERR_clear_error)                                                                         \
	X(ERR_get_error)                                                                           \
	X(ERR_reason_error_string)

#define MEMBER(name) __typeof__(name) *name;
static struct {
	FUNCTIONS(MEMBER)
} ssl;

struct tls {
	SSL_CTX *context;
	SSL *session;
	BIO *from_peer, *to_peer; /* the session's */
	bool must_verify;
};

static void
explain(struct str *error, const char *what, const char *why)
{
	str_clear(error);
	add_printable(error, what, strlen(what), ERROR_MAX);
	if (!why)
		return;
	str_add(error, ": ");
	add_printable(error, why, strlen(why), ERROR_MAX);
}

/* The first error that OpenSSL has noted is the cause, the later ones its consequences. */
const char *
tls_reason(unsigned long code, const char *reason)
{
	if (reason)
		return reason;
	return ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : "no reason given";
}

static const char *
library_reason(void)
{
	unsigned long code = ssl.ERR_get_error();
	const char *reason = code ? ssl.ERR_reason_error_string(code) : NULL;

	ssl.ERR_clear_error();
	return tls_reason(code, reason);
}

static bool
load(struct str *error)
{
	static void *library;
	void *handle;

	if (library)
		return true;
	handle = dlopen(SONAME(OPENSSL_SHLIB_VERSION), RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		explain(error, "TLS library", dlerror());
		return false;
	}
#define RESOLVE(name)                                                                              \
	*(void **)(void *)&ssl.name = dlsym(handle, #name);                                        \
	if (!ssl.name) {                                                                           \
		explain(error, "TLS library lacks", #name);                                        \
		return false;                                                                      \
	}
	FUNCTIONS(RESOLVE)
	library = handle;
	return true;
}

int
tls_no_passphrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

/* Gives NULL, or the file that could not be used; the reason then is in the library's queue. */
static const char *
load_pair(SSL_CTX *context, const char *certificate, const char *key)
{
	if (ssl.SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		return certificate;
	if (ssl.SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
	    ssl.SSL_CTX_check_private_key(context) != 1)
		return key;
	return NULL;
}

/*
 * The library opens the file once for the certificate and once for the key. When a rename
 * exchanges it in between, the two don't fit, and the second try reads the new one twice.
 */
static bool
use_certificate(SSL_CTX *context, const struct tls_files *files, struct str *error)
{
	const char *key = files->key ? files->key : files->certificate;
	const char *bad;

	if (!files->certificate)
		return true;
	ssl.SSL_CTX_set_default_passwd_cb(context, tls_no_passphrase);
	bad = load_pair(context, files->certificate, key);
	if (bad) {
		ssl.ERR_clear_error();
		bad = load_pair(context, files->certificate, key);
	}
	if (!bad)
		return true;
	explain(error, bad, library_reason());
	return false;
}

static bool
set_up(SSL_CTX *context, const struct tls_files *files, const char *ciphers, struct str *error)
{
	ssl.SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					     SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	ssl.SSL_CTX_set_num_tickets(context, 0);
	ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
	if (ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) != 1) {
		explain(error, "TLS 1.2 is not available", NULL);
		return false;
	}
	if (files->ciphers)
		ciphers = files->ciphers;
	if (ssl.SSL_CTX_set_cipher_list(context, ciphers) != 1) {
		explain(error, "cipher list", library_reason());
		return false;
	}
	return use_certificate(context, files, error);
}

/* A session over two memory buffers that say "come back" when they are empty. */
static bool
make_session(struct tls *tls)
{
	tls->session = ssl.SSL_new(tls->context);
	tls->from_peer = ssl.BIO_new(ssl.BIO_s_mem());
	tls->to_peer = ssl.BIO_new(ssl.BIO_s_mem());
	if (!tls->session || !tls->from_peer || !tls->to_peer)
		return false;
	ssl.BIO_ctrl(tls->from_peer, BIO_C_SET_BUF_MEM_EOF_RETURN, -1, NULL);
	ssl.BIO_ctrl(tls->to_peer, BIO_C_SET_BUF_MEM_EOF_RETURN, -1, NULL);
	ssl.SSL_set_bio(tls->session, tls->from_peer, tls->to_peer);
	return true;
}

static struct tls *
prepare(
    const SSL_METHOD *method, const struct tls_files *files, const char *ciphers, struct str *error)
{
	struct tls *tls = mem_array(1, sizeof *tls);

	ssl.ERR_clear_error();
	tls->context = ssl.SSL_CTX_new(method);
	if (!tls->context)
		explain(error, "TLS set-up", library_reason());
	else if (set_up(tls->context, files, ciphers, error)) {
		if (make_session(tls))
			return tls;
		explain(error, "TLS session", library_reason());
	}
	tls_discard(tls);
	return NULL;
}

struct tls *
tls_server(const struct tls_files *files, struct str *error)
{
	struct tls *tls;

	if (!load(error))
		return NULL;
	tls = prepare(ssl.TLS_server_method(), files, TLS_CIPHERS, error);
	if (tls)
		ssl.SSL_set_accept_state(tls->session);
	return tls;
}

static bool
trust(struct tls *tls, const char *ca, struct str *error)
{
	struct stat about;
	int done;

	if (ca && !*ca)
		return true;
	if (!ca)
		done = ssl.SSL_CTX_set_default_verify_paths(tls->context);
	else if (stat(ca, &about) == 0 && S_ISDIR(about.st_mode))
		done = ssl.SSL_CTX_load_verify_dir(tls->context, ca);
	else
		done = ssl.SSL_CTX_load_verify_file(tls->context, ca);
	if (done == 1)
		return true;
	explain(error, ca ? ca : "trusted certificates", library_reason());
	return false;
}

/* Whom the certificate must name; SNI is for host names only (RFC 6066 section 3). */
static bool
expect_name(struct tls *tls, const char *name, struct str *error)
{
	struct netip ip;
	bool done;

	if (netip_parse(name, &ip)) {
		done =
		    ssl.X509_VERIFY_PARAM_set1_ip_asc(ssl.SSL_get0_param(tls->session), name) == 1;
	} else {
		char *copy = strdup(name);

		ssl.SSL_set_hostflags(tls->session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		done = copy && ssl.SSL_set1_host(tls->session, name) == 1 &&
		       ssl.SSL_ctrl(tls->session, SSL_CTRL_SET_TLSEXT_HOSTNAME,
			   TLSEXT_NAMETYPE_host_name, copy) == 1;
		free(copy);
	}
	if (!done)
		explain(error, "not a name that TLS can verify", name);
	return done;
}

bool
tls_expect(struct tls *tls, const char *const *names, size_t count, struct str *error)
{
	X509_VERIFY_PARAM *expected = ssl.SSL_get0_param(tls->session);
	size_t i;

	if (ssl.SSL_set1_host(tls->session, NULL) != 1 ||
	    ssl.X509_VERIFY_PARAM_set1_ip(expected, NULL, 0) != 1) {
		explain(error, "forgetting the peer's name", library_reason());
		return false;
	}
	ssl.SSL_set_hostflags(tls->session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (i = 0; i < count; i++) {
		struct netip ip;
		bool done =
		    netip_parse(names[i], &ip)
			? count == 1 && ssl.X509_VERIFY_PARAM_set1_ip_asc(expected, names[i]) == 1
			: ssl.SSL_add1_host(tls->session, names[i]) == 1;

		if (!done) {
			explain(error, "not a name that TLS can verify", names[i]);
			return false;
		}
	}
	return count > 0;
}

bool
tls_dane(struct tls *tls, const struct tls_tlsa *records, size_t count, const char *const *names,
    size_t names_count, size_t *usable, struct str *error)
{
	size_t i;

	*usable = 0;
	if (ssl.SSL_CTX_dane_enable(tls->context) != 1 ||
	    ssl.SSL_dane_enable(tls->session, names[0]) != 1) {
		explain(error, "DANE", library_reason());
		return false;
	}
	ssl.SSL_dane_set_flags(tls->session, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	ssl.SSL_set_hostflags(tls->session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (i = 1; i < names_count; i++)
		if (ssl.SSL_add1_host(tls->session, names[i]) != 1) {
			explain(error, "not a name that TLS can verify", names[i]);
			return false;
		}
	for (i = 0; i < count; i++)
		*usable +=
		    ssl.SSL_dane_tlsa_add(tls->session, records[i].usage, records[i].selector,
			records[i].matching, records[i].data, records[i].len) == 1;
	ssl.ERR_clear_error(); /* what is wrong with a record is the owner's */
	tls->must_verify = *usable > 0;
	return true;
}

struct tls *
tls_client(const struct tls_files *files, const char *name, const char *ca, bool must_verify,
    struct str *error)
{
	struct tls *tls;

	if (!load(error))
		return NULL;
	tls = prepare(
	    ssl.TLS_client_method(), files, must_verify ? TLS_CIPHERS : TLS_CIPHERS_ANY, error);
	if (!tls)
		return NULL;
	tls->must_verify = must_verify;
	ssl.SSL_set_connect_state(tls->session);
	if (trust(tls, ca, error) && expect_name(tls, name, error))
		return tls;
	tls_discard(tls);
	return NULL;
}

void
tls_discard(struct tls *tls)
{
	if (tls->session)
		ssl.SSL_free(tls->session);
	if (tls->context)
		ssl.SSL_CTX_free(tls->context);
	free(tls);
}

/* Hands over what OpenSSL has for the peer. */
static bool
send_pending(struct tls *tls, struct chan *chan)
{
	char buffer[4096];
	int len;

	while ((len = ssl.BIO_read(tls->to_peer, buffer, sizeof buffer)) > 0) {
		const char *at = buffer;

		while (len > 0) {
			ssize_t put = chan_write_some(chan, at, (size_t)len);

			if (put <= 0)
				return false;
			at += put;
			len -= (int)put;
		}
	}
	return true;
}

/* Waits for bytes from the peer: how many, 0 at the end, -1 on error. */
static ssize_t
receive_more(struct tls *tls, struct chan *chan)
{
	char buffer[16384];
	ssize_t got = chan_read_some(chan, buffer, sizeof buffer);

	if (got > 0 && ssl.BIO_write(tls->from_peer, buffer, (int)got) != got) {
		errno = ENOMEM;
		return -1;
	}
	return got;
}

static void
explain_handshake(struct tls *tls, struct str *error, int saved)
{
	long verdict = ssl.SSL_get_verify_result(tls->session);

	if (tls->must_verify && verdict != X509_V_OK)
		explain(
		    error, "certificate verify failed", ssl.X509_verify_cert_error_string(verdict));
	else if (saved == ETIMEDOUT)
		explain(error, "TLS handshake timed out", NULL);
	else if (saved == EPROTO)
		explain(error, "TLS handshake", library_reason());
	else
		explain(error, "TLS handshake", saved ? strerror(saved) : "the peer went away");
}

/* 0 when the handshake is through, else an errno, -1 where the peer went away. */
static int
handshake(struct tls *tls, struct chan *chan)
{
	for (;;) {
		int result, wish;
		ssize_t got;

		ssl.ERR_clear_error();
		result = ssl.SSL_do_handshake(tls->session);
		wish = ssl.SSL_get_error(tls->session, result);
		/* An alert that tells the peer why is sent even after a failure. */
		if (!send_pending(tls, chan) && (result == 1 || wish == SSL_ERROR_WANT_READ))
			return errno;
		if (result == 1)
			return 0;
		if (wish != SSL_ERROR_WANT_READ)
			return EPROTO;
		got = receive_more(tls, chan);
		if (got < 0)
			return errno;
		if (got == 0)
			return -1;
	}
}

/* 0: the peer has ended. */
static ssize_t
read_records(struct chan *chan, char *buffer, size_t len)
{
	struct tls *tls = chan->tls;
	int max = len > 16384 ? 16384 : (int)len;

	for (;;) {
		int got, wish;
		ssize_t more;

		ssl.ERR_clear_error();
		got = ssl.SSL_read(tls->session, buffer, max);
		if (got > 0)
			return got;
		wish = ssl.SSL_get_error(tls->session, got);
		if (wish == SSL_ERROR_ZERO_RETURN)
			return 0;
		if (!send_pending(tls, chan))
			return -1;
		if (wish != SSL_ERROR_WANT_READ) {
			errno = EPROTO;
			return -1;
		}
		more = receive_more(tls, chan);
		if (more <= 0)
			return more;
	}
}

static ssize_t
write_records(struct chan *chan, const char *bytes, size_t len)
{
	struct tls *tls = chan->tls;
	int put;

	ssl.ERR_clear_error();
	put = ssl.SSL_write(tls->session, bytes, len > 16384 ? 16384 : (int)len);
	if (put <= 0) {
		errno = EPROTO;
		return -1;
	}
	return send_pending(tls, chan) ? put : -1;
}

static void
end_records(struct chan *chan)
{
	struct tls *tls = chan->tls;
	long long deadline = chan->deadline;

	ssl.ERR_clear_error();
	ssl.SSL_shutdown(tls->session);
	/* No more than a second for the goodbye. */
	chan->deadline = clock_after(1);
	send_pending(tls, chan);
	chan->deadline = deadline;
	tls_discard(tls);
	chan->tls = NULL;
	chan->read = NULL;
	chan->write = NULL;
	chan->end = NULL;
	chan->protocol = chan->cipher = NULL;
}

bool
tls_start(struct tls *tls, struct chan *chan, struct str *error)
{
	long long deadline = chan->deadline, own = clock_after(chan->timeout);
	int failure;

	if (tls->must_verify)
		ssl.SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
	if (!deadline || own < deadline)
		chan->deadline = own;
	failure = handshake(tls, chan);
	chan->deadline = deadline;
	if (!failure && tls->must_verify && tls_verified(tls))
		failure = EPROTO;
	if (!failure) {
		chan->tls = tls;
		chan->read = read_records;
		chan->write = write_records;
		chan->end = end_records;
		chan->protocol = ssl.SSL_get_version(tls->session);
		chan->cipher = ssl.SSL_CIPHER_get_name(ssl.SSL_get_current_cipher(tls->session));
		return true;
	}
	explain_handshake(tls, error, failure < 0 ? 0 : failure);
	tls_discard(tls);
	return false;
}

const char *
tls_verified(const struct tls *tls)
{
	long verdict = ssl.SSL_get_verify_result(tls->session);

	if (!ssl.SSL_get0_peer_certificate(tls->session))
		return "no certificate";
	return verdict == X509_V_OK ? NULL : ssl.X509_verify_cert_error_string(verdict);
}
