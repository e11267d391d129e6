/* The processes that a process has started, and theirs, as /proc shows them. */
#ifndef LIB_FAMILY_H
#define LIB_FAMILY_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Sends the signal to every descendant of a process, not to itself; how many are alive. Those
 * whose parent has died count while the process is a reaper of such (PR_SET_CHILD_SUBREAPER).
 * What is started meanwhile is missed: whoever wants all of them calls again until there are none.
 */
size_t family_signal(pid_t of, int number);

#endif
