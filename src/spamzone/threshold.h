/*
 * A threshold of the message's own recipients, in the place of the one that the scanner has: the
 * variable SPAMTHRESHOLD, points, or "off" where they want no filter.
 */
#ifndef THRESHOLD_H
#define THRESHOLD_H

#include "field.h"

struct threshold {
	enum { THRESHOLD_SITE, THRESHOLD_OWN, THRESHOLD_OFF } kind;
	long points; /* thousandths */
};

/* text: the variable's value, or NULL. False where it is neither points nor "off" nor empty. */
bool read_threshold(const char *text, struct threshold *threshold);

/*
 * Adds the scanner's X-Spam-* fields to to as they are under another threshold: X-Spam-Status
 * begins with the new answer and names the new threshold, X-Spam-Flag is there for spam alone.
 */
void rejudge_fields(const struct bytes *fields, bool spam, const char *required, struct bytes *to);

#endif
