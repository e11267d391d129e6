/*
 * Signing of what originates here: what qmail-smtpd has from a client that may relay, qmail-inject
 * from somebody of this host, and what qmail-send and qmail-list write themselves.
 * control/signsocket names the signer's socket; the home must be the working directory.
 */
#ifndef LIB_SIGNING_H
#define LIB_SIGNING_H

#include "lib/control.h"

/*
 * OK: the message goes through qmail-sign(8). ABSENT: nothing is signed here. ERROR: that can't be
 * known now.
 */
enum control signing_wanted(void);

#endif
