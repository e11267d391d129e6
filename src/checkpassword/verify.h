/* Comparing a password with a hash, by the host's crypt(3). */
#ifndef VERIFY_H
#define VERIFY_H

#include <stdbool.h>

enum verify_status {
	VERIFY_MATCH,
	VERIFY_DIFFERS,
	VERIFY_TROUBLE, /* crypt(3) could not do its work (memory): nothing is known */
};

/* Computes the hash of password with the method, cost and salt of `hash` and compares the two in
   constant time. Where `hash` is not one that crypt(3) can work with, "" included, the work is done
   all the same, with the host's preferred method, and the result is VERIFY_DIFFERS. An empty
   password never matches. Leaves nothing of the password in memory beyond the caller's own copy. */
enum verify_status verify(const char *password, const char *hash);

#endif
