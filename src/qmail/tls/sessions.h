/*
 * The processes of the sessions: how many there are, and how many there may be.
 *
 * A session has a place for as long as its door is there. One whose door has gone only brings its
 * client what was said last, and holds no place: else who reads nothing could keep the places of
 * sessions that have ended, which no door counts any more as his. Of these there may be half as
 * many as there are places; for one more the one that has been so longest ends.
 */
#ifndef TLS_SESSIONS_H
#define TLS_SESSIONS_H

#include <stdbool.h>
#include <sys/types.h>

/* False: no memory. */
bool sessions_init(unsigned long max);
bool sessions_has_place(void);
void sessions_began(pid_t pid);
/* Its door has gone. What is no session is nothing. */
void sessions_leaving(pid_t pid);
/* Its process is no more: true if it had a place. */
bool sessions_ended(pid_t pid);

#endif
