/* Who may ask for a session, and how many there may be. */
#ifndef TLS_DOORS_H
#define TLS_DOORS_H

#include "lib/str.h"

#include <stdbool.h>
#include <sys/types.h>

#define DOORS_MAX 8

/* Adds a user; false, with errno 0 for one that there is not, EINVAL for too many. */
bool doors_admit(const char *user);
/* Their uids, with commas between them. */
void doors_list(struct str *list);
/* The peer of this socket is one of them (SO_PEERCRED, unix(7)); its uid is told in any case. */
bool doors_admitted(int fd, uid_t *uid);

#endif
