/* Telling the user of a mailbox that it is getting full. */
#ifndef LOCAL_WARNING_H
#define LOCAL_WARNING_H

#include "lib/maildirquota.h"
#include "local/delivery.h"

/*
 * Puts a message into new of the Maildir that so many percent of its quota are used, and counts it.
 * Where that fails nothing is said: the mail that it is about has been delivered.
 */
void warning_deliver(int maildir, unsigned percent, struct quota *quota, const struct delivery *d);

#endif
