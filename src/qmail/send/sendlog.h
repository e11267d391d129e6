/*
 * qmail-send's log. Lines are collected and handed over once a turn, and at once when
 * there are many. Where the log can't be written any more, lines are lost, mail is not.
 */
#ifndef SEND_SENDLOG_H
#define SEND_SENDLOG_H

#include "lib/str.h"

#define LOG_FD 2

void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, with errno's words and "; WHAT WILL HAPPEN" at the end. */
void log_trouble(const char *what, const char *path, const char *then);
void log_flush(void);

/* A delivery's report as one word: line ends become /, blanks _, unprintable bytes ?. */
void log_add_report(struct str *to, const char *report);

#endif
