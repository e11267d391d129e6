#include "verify.h"
#include <crypt.h>
#include <stdbool.h>
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

/* The hash of password by the method, cost and salt of setting; NULL if crypt(3) failed. */
static const char *
compute(const char *password, const char *setting, struct crypt_data *data)
{
	const char *computed = crypt_r(password, setting, data);

	/* Some versions give NULL, others a token ("*0", "*1") that is no hash of anything. */
	return computed && *computed != '*' ? computed : NULL;
}

/* The same work with a setting that is surely good. That tells why a hash could not be worked with:
   errno doesn't, since crypt(3) calls a lack of memory EINVAL too. */
static enum verify_status
work_in_vain(const char *password, struct crypt_data *data)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];

	if (!crypt_gensalt_rn(NULL, 0, NULL, 0, setting, sizeof setting))
		return VERIFY_TROUBLE;
	return compute(password, setting, data) ? VERIFY_DIFFERS : VERIFY_TROUBLE;
}

enum verify_status
verify(const char *password, const char *hash)
{
	static struct crypt_data data; /* 32 KiB, rather not on the stack */
	const char *computed = *hash ? compute(password, hash, &data) : NULL;
	enum verify_status status;

	if (!computed)
		status = work_in_vain(password, &data);
	else
		status = same(computed, hash) && *password ? VERIFY_MATCH : VERIFY_DIFFERS;
	explicit_bzero(&data, sizeof data);
	return status;
}
