/*
 * The arguments of MAIL and RCPT: RFC 5321 sections 4.1.1.2, 4.1.1.3, 4.1.2; SIZE of
 * RFC 1870, BODY of RFC 6152, AUTH of RFC 4954. A pure function over bytes.
 *
 * The address comes out in the suite's inner form (lib/addr.h): source route dropped, local
 * part without quotes and backslashes; the @ before the domain is always the last one.
 * Brackets may be missing, as they often are.
 */
#ifndef SMTPD_PATH_H
#define SMTPD_PATH_H

#include "lib/str.h"

enum parameter_fault {
	PARAMETERS_FINE,
	PARAMETERS_SYNTAX, /* a malformed value, or one parameter twice */
	PARAMETERS_FOREIGN /* one that was never offered, or such a value of one that was */
};

struct path {
	struct str address;              /* empty for <> */
	bool has_size;                   /* SIZE= was given */
	unsigned long size;              /* its value; ULONG_MAX for more than fits */
	enum parameter_fault parameters; /* the first that there is */
	unsigned seen;                   /* which parameters came, for the parser alone */
};

#define PATH_INIT                                                                                  \
	{                                                                                          \
		STR_INIT, false, 0, PARAMETERS_FINE, 0                                             \
	}

enum path_fault { PATH_FINE, PATH_SYNTAX, PATH_LONG };

/* keyword is FROM or TO. path->address is replaced; on a fault it holds nothing of use. */
enum path_fault path_parse(const char *text, size_t len, const char *keyword, struct path *path);

void path_free(struct path *path);

#endif
