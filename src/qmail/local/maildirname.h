/* The names of the files in a Maildir. */
#ifndef LOCAL_MAILDIRNAME_H
#define LOCAL_MAILDIRNAME_H

#include "lib/str.h"

/* host as names in a Maildir carry it: '/' and ':' as \057 and \072. */
void maildir_add_host(struct str *to, const char *host);

#endif
