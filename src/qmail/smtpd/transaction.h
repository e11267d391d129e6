/* MAIL and RCPT. */
#ifndef SMTPD_TRANSACTION_H
#define SMTPD_TRANSACTION_H

#include "smtpd/session.h"

void transaction_mail(struct session *s, const char *argument, size_t len);
void transaction_rcpt(struct session *s, const char *argument, size_t len);

#endif
