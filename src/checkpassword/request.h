/*
 * What the caller hands over on descriptor 3: "user NUL password NUL timestamp NUL", perhaps
 * followed by more, at most REQUEST_MAX bytes before the end of file.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <stddef.h>

enum {
	REQUEST_FD = 3,
	REQUEST_MAX = 512,
};

enum request_status {
	REQUEST_OK,
	REQUEST_NOT_OPEN,   /* the descriptor is closed, or not open for reading */
	REQUEST_UNREADABLE, /* reading it failed; errno says how */
	REQUEST_TOO_LONG,
	REQUEST_MALFORMED, /* fewer than three NULs */
};

/* user and password point into bytes; both end in NUL. The timestamp is required but not used. */
struct request {
	char bytes[REQUEST_MAX + 1];
	size_t length;
	const char *user;
	const char *password;
};

/* Sets user and password from bytes[0..length). REQUEST_OK, REQUEST_TOO_LONG or REQUEST_MALFORMED;
   user and password are NULL unless REQUEST_OK. */
enum request_status request_parse(struct request *request);

/* Reads fd to its end, closes it, and parses. On any failure the bytes read are wiped. */
enum request_status request_read(struct request *request, int fd);

/* Leaves nothing of the request in memory. */
void request_wipe(struct request *request);

#endif
