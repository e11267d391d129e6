/* The bundle: see bundle.h. */
#include "tls/bundle.h"

#include "lib/tls.h"
#include "tls/tickets.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/stat.h>

/* With the hybrid of ML-KEM where OpenSSL has it (3.5): draft-ietf-tls-ecdhe-mlkem. */
#define GROUPS "X25519:P-256:P-384"
#define GROUPS_HYBRID "X25519MLKEM768:" GROUPS

static SSL_CTX *present;
static struct stat seen;

SSL_CTX *
bundle_context(void)
{
	return present;
}

const char *
bundle_reason(void)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return tls_reason(code, reason);
}

static bool
load_pair(SSL_CTX *context, const char *path)
{
	return SSL_CTX_use_certificate_chain_file(context, path) == 1 &&
	       SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1 &&
	       SSL_CTX_check_private_key(context) == 1;
}

/* The file is opened once for the certificate and once for the key; see lib/tls.c. */
static bool
load_bundle(SSL_CTX *context, const char *path)
{
	SSL_CTX_set_default_passwd_cb(context, tls_no_passphrase);
	if (load_pair(context, path))
		return true;
	ERR_clear_error();
	return load_pair(context, path);
}

bool
bundle_protocol(struct bundle *bundle, const char *name)
{
	if (strcmp(name, "TLSv1.2") == 0)
		bundle->protocol = TLS1_2_VERSION;
	else if (strcmp(name, "TLSv1.3") == 0)
		bundle->protocol = TLS1_3_VERSION;
	else
		return false;
	return true;
}

static bool
set_groups(SSL_CTX *context, const char *groups)
{
	if (groups)
		return SSL_CTX_set1_groups_list(context, groups) == 1;
	if (SSL_CTX_set1_groups_list(context, GROUPS_HYBRID) == 1)
		return true;
	ERR_clear_error();
	return SSL_CTX_set1_groups_list(context, GROUPS) == 1;
}

static bool
set_up(SSL_CTX *context, const struct bundle *bundle)
{
	const int lowest = bundle->protocol ? bundle->protocol : TLS1_2_VERSION;
	const char *ciphers = bundle->ciphers ? bundle->ciphers : TLS_CIPHERS;

	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	tickets_use(context);
	return set_groups(context, bundle->groups) &&
	       SSL_CTX_set_min_proto_version(context, lowest) == 1 &&
	       SSL_CTX_set_cipher_list(context, ciphers) == 1 &&
	       (!bundle->suites || SSL_CTX_set_ciphersuites(context, bundle->suites) == 1) &&
	       load_bundle(context, bundle->path);
}

static bool
same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool
bundle_look(const struct bundle *bundle, struct str *error)
{
	struct stat now = {.st_ino = 0};
	SSL_CTX *context;
	int failure = stat(bundle->path, &now) == 0 ? 0 : errno;

	str_clear(error);
	if (same(&now, &seen))
		return false;
	/* From before it is opened: what changes meanwhile is seen the next time. */
	seen = now;
	if (failure) {
		str_addf(error, "%s: %s", bundle->path, strerror(failure));
		return false;
	}
	ERR_clear_error();
	context = SSL_CTX_new(TLS_server_method());
	if (!context || !set_up(context, bundle)) {
		str_addf(error, "%s: %s", bundle->path, bundle_reason());
		SSL_CTX_free(context);
		return false;
	}
	SSL_CTX_free(present);
	present = context;
	/* Who resumes sees no certificate, and so would go on without the new one. */
	tickets_forget();
	return true;
}
