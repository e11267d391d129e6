/*
 * The text behind DATA: RFC 5321 section 4.5.2 (transparency) and section 2.3.8 (lines
 * end in CRLF and in nothing else). Pure functions over bytes.
 *
 * Only <CRLF>.<CRLF> ends a message. A CR or LF standing alone is a fault wherever it
 * stands, so that no two hosts can read one stream as a different number of messages.
 */
#ifndef SMTPD_DATA_H
#define SMTPD_DATA_H

#include "lib/str.h"

enum data_state { DATA_LINE_START, DATA_TEXT, DATA_CR, DATA_DOT, DATA_DOT_CR };
enum data_verdict { DATA_MORE, DATA_END, DATA_BARE_LF, DATA_BARE_CR };

struct data {
	enum data_state state;
	size_t line;    /* bytes of the present line so far */
	size_t longest; /* of any line so far */
};

void data_start(struct data *data);
/*
 * Decodes bytes into out, which must have room for len of them: lines ended by LF, stuffed
 * dots gone. *used bytes were taken (all of them unless the verdict is other than
 * DATA_MORE), *out_len were written.
 */
enum data_verdict data_decode(
    struct data *data, const char *bytes, size_t len, size_t *used, char *out, size_t *out_len);

/*
 * Hops: Received and Delivered-To fields in the header of a decoded message, which ends at
 * its first empty line; and what the latter name.
 */
struct hops {
	bool body;
	bool received, delivered; /* the present line may still be such a field */
	size_t column;
	unsigned long count;
	struct str address;   /* of the present Delivered-To, as far as it could be an address */
	struct str addresses; /* of those before it, each with its NUL */
};

void hops_start(struct hops *hops);
void hops_scan(struct hops *hops, const char *bytes, size_t len);
void hops_free(struct hops *hops);

#endif
