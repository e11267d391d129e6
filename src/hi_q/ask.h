/*
 * ask: having the message taken by the resident, hi-q's Python program that is started already.
 *
 * The resident is a process of the same user that listens at RESIDENT, a socket (unix(7),
 * SOCK_SEQPACKET) in a directory of root's, and forks for each message. The talk, one packet a
 * line:
 *
 *   resident   the directory of its code, which must be ours (CODE)
 *   hi-q       its class of senders, umask, directory, and environment, each ended by a NUL; with
 *              it, by SCM_RIGHTS, the descriptors 0, 1, 2 and, where it is open, 6
 *   resident   TAKEN
 *   hi-q       the number of each signal that is to end it; the end of the talk ends it, too
 *   resident   the exit code
 *
 * Until TAKEN nobody has touched the message, and hi-q may do the work itself. Whoever gives up
 * before closes the talk, and the other then touches nothing.
 */
#ifndef ASK_H
#define ASK_H

/*
 * Returns the exit code, or -1 where nothing was touched and the message is still to be taken:
 * there is no resident, it is of another build or another user, it doesn't answer at once, it
 * declines. Once it is taken, descriptors 0, 1 and 6 are closed here, and an end without an exit
 * code is broken, the code given for that.
 */
int ask_resident(const char *class, int broken);

#endif
