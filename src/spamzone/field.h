/*
 * Header fields of a message, as far as spam marking needs them. Lines end in LF; a line of
 * nothing, or of only a CR, ends the header. Nothing here reads or writes.
 */
#ifndef FIELD_H
#define FIELD_H

#include <stdbool.h>
#include <stddef.h>

/* Growing bytes. Running out of memory ends the process: the message is deferred. */
struct bytes {
	char *at;
	size_t length, room;
};

void bytes_add(struct bytes *to, const void *from, size_t length);
void bytes_text(struct bytes *to, const char *text);

/*
 * Drops the X-Spam-* fields of a message that comes in pieces, so that none but ours can be
 * in what goes out. Start with all zero, feed every piece, then finish once.
 */
struct strip {
	enum { STRIP_START, STRIP_NAME, STRIP_KEEP, STRIP_DROP, STRIP_BODY } state;
	bool dropping; /* the last field was dropped, so its continuations are */
	char name[8];
	size_t length; /* of name */
};

void strip_feed(struct strip *strip, const char *piece, size_t length, struct bytes *to);
void strip_finish(struct strip *strip, struct bytes *to);

/* The X-Spam-* fields of a message's header, whole, added to to. */
void take_spam_fields(const char *message, size_t length, struct bytes *to);

/* Whether this line, its LF included, is the one that ends a header. */
bool ends_header(const char *line, size_t length);

/* The length of the field at the start of text with its continuations; 0 at the header's end. */
size_t field_length(const char *text, size_t length);

/* The length of a message's header without the line that ends it. */
size_t header_length(const char *message, size_t length);

/* What follows name, which has its colon, in the first field of that name; false without one. */
bool find_field(
    const char *header, size_t length, const char *name, const char **value, size_t *value_length);

/* What X-Spam-Status says. Scores in thousandths. */
struct verdict {
	bool spam;
	long score, required;
	bool incomplete; /* it says itself that the scan was cut short */
	char rules[512]; /* the tests hit, "none" for none; cut after whole names */
};

/*
 * Reads "X-Spam-Status: Yes, score=7.0 required=5.0 tests=A,B" from fields; false when it is
 * not there, twice, or says something else.
 */
bool read_verdict(const char *fields, size_t length, struct verdict *verdict);

/* A decimal number such as -1.25, at most three decimals, up to a million, in thousandths. */
bool read_thousandths(const char *text, size_t length, long *value);

/* Adds message to to with prefix put before the words of its Subject, once. */
void mark_subject(const char *message, size_t length, const char *prefix, struct bytes *to);

#endif
