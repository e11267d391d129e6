#include "verify.h"
#include <crypt.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Equal strings; takes the same time wherever they differ. */
static bool
same(const char *left, const char *right)
{
	size_t length = strlen(left);
	unsigned char differing = 0;

	if (strlen(right) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		differing = (unsigned char)(differing | (left[i] ^ right[i]));
	return differing == 0;
}

static enum verify_status
compute(const char *password, const char *hash, struct crypt_data *data)
{
	const char *computed;

	errno = 0;
	computed = crypt_r(password, hash, data);
	/* A failure is NULL or a token ("*0", "*1") that is no hash of anything. */
	if (!computed || *computed == '*')
		return errno == ENOMEM ? VERIFY_TROUBLE : VERIFY_DIFFERS;
	return same(computed, hash) ? VERIFY_MATCH : VERIFY_DIFFERS;
}

enum verify_status
verify(const char *password, const char *hash)
{
	static struct crypt_data data; /* 32 KiB, rather not on the stack */
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	enum verify_status status = VERIFY_DIFFERS;
	bool computed = false;

	if (*hash) {
		status = compute(password, hash, &data);
		computed = data.output[0] != '\0' && data.output[0] != '*';
	}
	if (status == VERIFY_DIFFERS && !computed) {
		if (!crypt_gensalt_rn(NULL, 0, NULL, 0, setting, sizeof setting))
			status = VERIFY_TROUBLE;
		else if (compute(password, setting, &data) == VERIFY_TROUBLE)
			status = VERIFY_TROUBLE;
	}
	explicit_bzero(&data, sizeof data);
	return status == VERIFY_MATCH && !*password ? VERIFY_DIFFERS : status;
}
