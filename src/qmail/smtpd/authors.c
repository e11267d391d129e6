/* The From fields of a message: see authors.h. */
#include "smtpd/authors.h"

#include "inject/rewrite.h"

void
authors_start(struct authors *authors)
{
	*authors = (struct authors){
	    .line = AUTHORS_OTHER,
	    .line_start = true,
	    .field = STR_INIT,
	    .found = LIST_INIT,
	};
}

void
authors_free(struct authors *authors)
{
	str_free(&authors->field);
	list_free(&authors->found);
}

static void
end_field(struct authors *authors)
{
	static const struct rewrite_rules as_it_is = REWRITE_RULES_INIT;
	size_t before = authors->found.count;

	if (!authors->within)
		return;
	if (!rewrite_list(NULL, &authors->found, authors->field.s, authors->field.len, &as_it_is) ||
	    authors->found.count == before)
		authors->unreadable = true;
	authors->within = false;
	str_clear(&authors->field);
}

/* The first byte of a line says what the line is. */
static void
begin_line(struct authors *authors, char byte)
{
	authors->line_start = false;
	authors->column = 0;
	if (byte == ' ' || byte == '\t') {
		authors->line = authors->within ? AUTHORS_VALUE : AUTHORS_OTHER;
		return;
	}
	end_field(authors);
	authors->line = AUTHORS_NAME;
	authors->body = byte == '\n';
}

/* RFC 5322 section 4.5: blanks in front of the colon are an old form, to be understood. */
static void
take_name(struct authors *authors, char byte)
{
	static const char name[] = "from";
	const size_t len = sizeof name - 1;

	if (byte == ':' && authors->column == len) {
		authors->line = AUTHORS_VALUE;
		authors->within = true;
	} else if ((byte == ' ' || byte == '\t') && authors->column == len) {
		authors->line = AUTHORS_GAP;
	} else if (authors->line == AUTHORS_GAP || authors->column == len ||
		   (byte | 0x20) != name[authors->column]) {
		authors->line = AUTHORS_OTHER;
	} else {
		authors->column++;
	}
}

static void
take_value(struct authors *authors, char byte)
{
	if (authors->bytes == AUTHORS_MAX) {
		authors->unreadable = true;
		return;
	}
	authors->bytes++;
	str_add_char(&authors->field, byte);
}

void
authors_scan(struct authors *authors, const char *bytes, size_t len)
{
	size_t at;

	for (at = 0; at < len && !authors->body; at++) {
		if (authors->line_start)
			begin_line(authors, bytes[at]);
		if (authors->line == AUTHORS_VALUE)
			take_value(authors, bytes[at]);
		else if (authors->line != AUTHORS_OTHER)
			take_name(authors, bytes[at]);
		authors->line_start = bytes[at] == '\n';
	}
}

void
authors_end(struct authors *authors)
{
	end_field(authors);
	list_index(&authors->found);
}
