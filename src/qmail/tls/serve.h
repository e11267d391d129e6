/* One session, from the door's request to its end: what a child of qmail-tlsd does. */
#ifndef TLS_SERVE_H
#define TLS_SERVE_H

#include <openssl/ssl.h>

#define REQUEST_WAIT 10            /* seconds for the door to send its request */
#define HANDSHAKE_MAX (600 * 1000) /* milliseconds; a door asks for less */

struct service {
	int fd;                          /* the connection with the door */
	unsigned long milliseconds_most; /* of a handshake, whatever the door asks for */
	int leaving;                     /* gets this process's id (pid_t) when the door has gone */
};

/* Ends the process. */
_Noreturn void serve(const struct service *service, SSL_CTX *context);

#endif
