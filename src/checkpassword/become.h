/* From a verified password to a process of the user's own. */
#ifndef BECOME_H
#define BECOME_H

#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>

/* Gives up for good what the set-user-id bit gave: from here the process is its caller's. False
   (errno) if that failed. */
bool become_caller(void);

/* Becomes the account: groups, gid, uid, none of which can be taken back, then its home directory.
   Alone it has its gid as its one group, whatever a name of the same letters is a member of. False
   with one sentence in why[0..size) if any step failed; then the process must end. */
bool become_account(const struct passwd *account, bool alone, char *why, size_t size);

/* Replaces the environment by what a program behind checkpassword may need: the description of the
   connection, as it came, a fixed PATH, and nothing else. False (errno) if memory ran out. */
bool become_clean(void);

/* Adds USER, HOME and SHELL of the account. */
bool become_described(const struct passwd *account);

#endif
