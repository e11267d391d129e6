/* What comes on descriptor 3. */
#include "request.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request request;

	request.length = size < sizeof request.bytes ? size : sizeof request.bytes;
	memcpy(request.bytes, data, request.length);
	if (request_parse(&request) != REQUEST_OK)
		return 0;
	/* Three strings that follow each other from the first byte, inside what was given. */
	if (request.user != request.bytes ||
	    request.password != request.user + strlen(request.user) + 1 ||
	    request.password + strlen(request.password) + 1 >= request.bytes + request.length)
		abort();
	return 0;
}
