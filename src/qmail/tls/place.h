/* Where doors find this program: a socket, by its path. */
#ifndef TLS_PLACE_H
#define TLS_PLACE_H

#include <sys/types.h>

/*
 * A socket that is listened at (SOCK_SEQPACKET), or the end of the process, with the reason. One
 * that an earlier process has left there is in nobody's way.
 *
 * group: who may connect; (gid_t)-1 is nobody but this user. With a group the directory of the
 * socket is made where there is none, ours, for the group to enter and for nobody else (0710); one
 * that is there must be ours, and nobody else's to write to. No capability but CAP_SETGID is taken.
 */
int place_listen(const char *path, gid_t group);

#endif
