/* What qmail-remote prints, as one report. */
#ifndef SPAWN_REPORT_H
#define SPAWN_REPORT_H

#include "lib/str.h"

/*
 * output: the report on the one recipient (r accepted, h refused for good, s refused for
 * now; missing where it did not come to that), then that on the message (K, Z, D), each
 * ended by NUL. report is replaced by one letter (K, Z, D) and the texts: a recipient that
 * was refused decides, else the message does.
 */
void report_remote(int code, const char *output, size_t len, struct str *report);

#endif
