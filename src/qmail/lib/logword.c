/* The words of others in a log: see logword.h. */
#include "lib/logword.h"

#include <string.h>

/* Never stands as it is in what others have chosen: it would end a word or a quotation. */
#define ENDS_A_WORD "\"\\ <>"
#define ENDS_A_TEXT "\"\\"

static void
add_escaped(struct str *to, const char *bytes, size_t len, size_t max, const char *never)
{
	size_t i;

	for (i = 0; i < len && i < max; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c < 32 || c > 126 || strchr(never, c))
			str_addf(to, "\\x%02x", c);
		else
			str_add_char(to, (char)c);
	}
	if (len > max)
		str_add(to, "\\...");
}

void
log_add_word(struct str *to, const char *bytes, size_t len)
{
	add_escaped(to, bytes, len, LOG_WORD_MAX, ENDS_A_WORD);
}

void
log_add_text(struct str *to, const char *bytes, size_t len)
{
	str_add_char(to, '"');
	add_escaped(to, bytes, len, LOG_TEXT_MAX, ENDS_A_TEXT);
	str_add_char(to, '"');
}
