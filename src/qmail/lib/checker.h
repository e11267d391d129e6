/*
 * Password checkers with checkpassword's interface: user NUL password NUL timestamp NUL on
 * descriptor 3, then an exit code, or another program executed for the user.
 *
 * Descriptor 3 is made in the checker's process only; the caller's stays what it was.
 */
#ifndef LIB_CHECKER_H
#define LIB_CHECKER_H

#include "lib/str.h"

#define CHECKER_INPUT_MAX 512 /* what the interface allows for all three fields */

enum checker {
	CHECKER_YES,    /* exit code 0 */
	CHECKER_NO,     /* exit code 1, or credentials that no checker may be asked about */
	CHECKER_TROUBLE /* anything else: could not be run, crashed, misused, too slow */
};

struct checker_run {
	char **arguments; /* the program and its arguments, NULL-terminated */
	const char *user; /* neither may be empty for a YES */
	char *password;   /* overwritten as soon as it has been handed over */
	const char *timestamp;
	/*
	 * true: 0 and 1 are on /dev/null and the environment is PATH, the TCP* variables, PROTO
	 * and AUTHSERVICE, so a check can neither talk to the client nor read from it. false: both
	 * as the caller has them, since the checker executes the session's next program.
	 */
	bool apart;
	unsigned timeout; /* seconds, after which it is killed; 0: as long as it takes */
};

/* Runs the checker to its end. */
enum checker checker_run(const struct checker_run *run);

#endif
