/*
 * What others have chosen, as it stands in a log: docs/logs.md. Every program writes the words of a
 * client, a sender or a remote host by these two, so that none of them can end a word, a quotation
 * or a line, and no line can be taken for another.
 */
#ifndef LIB_LOGWORD_H
#define LIB_LOGWORD_H

#include "lib/str.h"

/* Bytes that are shown: of a word the longest address of RFC 5321, section 4.5.3.1; of a text. */
#define LOG_WORD_MAX 320
#define LOG_TEXT_MAX 400

/*
 * Adds one word: printable ASCII without blanks, quotes, angle brackets and backslashes. Every
 * other byte becomes \xHH; a word that is longer than LOG_WORD_MAX ends in \... where it was cut.
 */
void log_add_word(struct str *to, const char *bytes, size_t len);

/* Adds a text in double quotes: the same, but blanks and angle brackets stay what they are. */
void log_add_text(struct str *to, const char *bytes, size_t len);

#endif
