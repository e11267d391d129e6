/* The response of SASL PLAIN: RFC 4616. A pure function over bytes. */
#ifndef SMTPD_PLAIN_H
#define SMTPD_PLAIN_H

#include "lib/str.h"

/*
 * Authorization identity, user and password with a NUL between them. False for another
 * form, an empty user or password, or an authorization identity that is not the user's own.
 */
bool plain_parse(const struct str *response, struct str *user, struct str *password);

#endif
