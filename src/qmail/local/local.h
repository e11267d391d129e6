/*
 * A delivery of the message on descriptor 0 to one local address, as its .qmail file says: what
 * qmail-local(8) is. Of a process of its own, which has become the user who gets the mail.
 */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H

/* qmail-local's arguments; its exit code, where it doesn't end the process itself. */
int local_main(int count, char **arguments);

#endif
