/*
 * The names that people log in with, the same on every door: mail clients fill in the address,
 * and phones begin with a capital.
 */
#ifndef LIB_LOGIN_H
#define LIB_LOGIN_H

#include "lib/str.h"

/*
 * Sets account to what the password checker knows of typed: all in lower case (ASCII). For what is
 * in users/logins.cdb that is the mailbox that it says, whose name may be an address itself
 * (qmail-users(5)); an address whose last day is over stays as it is, and is no account. Any other
 * name loses its domain where that is one of control/locals, in which everybody's name is valid,
 * and otherwise stays whole, since it may be another person's. The home must be the working
 * directory. False: one of the files can't be read.
 */
bool login_account(const struct str *typed, struct str *account);

#endif
