/* The processes that a process has started, and theirs. */
#ifndef LIB_FAMILY_H
#define LIB_FAMILY_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Sends the signal to every descendant of a process, not to itself; how many are alive. Those
 * whose parent has died count while the process is a reaper of such (PR_SET_CHILD_SUBREAPER).
 * What is started meanwhile is missed: whoever wants all of them calls again until there are none.
 *
 * They are found in /proc, which may hide from a user what runs a program that he can't read
 * (hidepid). A process that asks for its own finds its children all the same; so where each of them
 * is ended, and it is a reaper, calling again comes to them all. It shows everything to a process
 * with the group 0.
 */
size_t family_signal(pid_t of, int number);

#endif
