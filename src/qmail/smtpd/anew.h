/*
 * Lists of control files that an open session has anew as soon as their files are other ones: so a
 * change holds from the next command, and nothing has to be started again. What it costs is one
 * fstatat for each look.
 */
#ifndef SMTPD_ANEW_H
#define SMTPD_ANEW_H

#include "smtpd/config.h"

/* Before config_read: remembers the files as they are. */
void anew_begin(void);

/* False: a file has changed, and can't be read; the list is what it was. */
bool anew_rcpthosts(struct config *config);
bool anew_badmailfrom(struct config *config);

#endif
