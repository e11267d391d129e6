/* The response of SASL PLAIN: RFC 4616. A pure function over bytes. */
#ifndef SMTPD_PLAIN_H
#define SMTPD_PLAIN_H

#include "lib/str.h"

/*
 * Authorization identity (which may be empty), user and password with a NUL between them. False
 * for another form, or an empty user or password.
 */
bool plain_parse(
    const struct str *response, struct str *identity, struct str *user, struct str *password);

#endif
