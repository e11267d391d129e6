/* The From fields of a message: see authors.h. */
#include "smtpd/authors.h"

#include "inject/lexer.h"
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

/* Words and the specials between them, as long as they could be one address. */
struct run {
	struct str text;
	bool address, after_word; /* it has an @; it ends in a word */
};

static void
start_again(struct run *run)
{
	str_clear(&run->text);
	run->address = run->after_word = false;
}

/* What is no address of the list, but would be one if it stood alone. */
static void
end_name(struct run *run, struct list *found)
{
	if (run->address && !str_has_nul(&run->text))
		list_add(found, run->text.s);
	start_again(run);
}

static void
take_token(struct run *run, const char *bytes, const struct token *token, struct list *found)
{
	const bool special = token->kind == TOKEN_SPECIAL;
	const char byte = bytes[token->start];

	if (special && (byte == ',' || byte == ';' || byte == '>')) {
		start_again(run); /* that was one of the list */
		return;
	}
	if (special && (byte == '<' || byte == ':')) {
		end_name(run, found);
		return;
	}
	if (!special && run->after_word)
		end_name(run, found);
	run->address = run->address || (special && byte == '@');
	run->after_word = !special;
	token_add(&run->text, bytes, token);
}

/* The addresses that a list has where names are. */
static void
add_named(const struct str *field, struct list *found)
{
	struct run run = {STR_INIT, false, false};
	struct token token = token_next(field->s, field->len, 0);

	while (token.kind != TOKEN_END && token.kind != TOKEN_BROKEN) {
		if (token.kind != TOKEN_COMMENT)
			take_token(&run, field->s, &token, found);
		token = token_next(field->s, field->len, token.end);
	}
	str_free(&run.text);
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
	add_named(&authors->field, &authors->found);
	authors->within = false;
	str_clear(&authors->field);
}

/* The first byte of a line says what the line is. */
static void
begin_line(struct authors *authors, char byte)
{
	authors->line_start = false;
	authors->column = 0;
	authors->width = 0;
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

	if (authors->column < len) {
		if ((byte | 0x20) == name[authors->column])
			authors->column++;
		else
			authors->line = AUTHORS_OTHER;
	} else if (byte == ':') {
		authors->line = AUTHORS_VALUE;
		authors->within = true;
	} else if (byte != ' ' && byte != '\t') {
		authors->line = AUTHORS_OTHER;
	}
}

static void
take_value(struct authors *authors, char byte)
{
	if (authors->bytes == AUTHORS_MAX || (authors->width > AUTHORS_LINE && byte != '\n')) {
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
		const char byte = bytes[at] ? bytes[at] : ' ';

		if (authors->line_start)
			begin_line(authors, byte);
		authors->width++;
		if (authors->line == AUTHORS_VALUE)
			take_value(authors, byte);
		else if (authors->line == AUTHORS_NAME)
			take_name(authors, byte);
		authors->line_start = byte == '\n';
	}
}

void
authors_end(struct authors *authors)
{
	end_field(authors);
	list_index(&authors->found);
}
