/* qmail-newu: compiles users/assign to users/cdb. See qmail-newu(8) and qmail-users(5). */
#include "lib/assign.h"
#include "lib/control.h"
#include "lib/identity.h"
#include "tables/compile.h"

#include <errno.h>
#include <string.h>

#define SOURCE "users/assign"

/* Notes the last byte of a wildcard's part. */
static void
note_end(struct str *ends, const struct str *key)
{
	char last = key->s[key->len - 1];

	if (key->s[0] == '+' && key->len > 1 && !memchr(ends->s, last, ends->len))
		str_add_char(ends, last);
}

static void
add_line(struct compiler *c, struct str *ends, const char *line, size_t len, unsigned long number)
{
	static struct assignment a = ASSIGNMENT_INIT;
	const char *bad = assign_parse(&a, line, len);

	if (bad)
		compile_fail(c, SOURCE " line %lu: %s", number, bad);
	compile_add(c, a.key.s, a.key.len, a.value.s, a.value.len);
	note_end(ends, &a.key);
}

/* Each line up to the one with a single dot; without that one the file may be cut off. */
static void
add_lines(struct compiler *c, struct str *ends, const struct str *content)
{
	const char *at = content->s, *end = content->s + content->len;
	unsigned long number = 0;

	for (;;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		if (!stop)
			compile_fail(c, SOURCE " has no line with a single dot at its end");
		if (stop - at == 1 && *at == '.')
			return;
		add_line(c, ends, at, (size_t)(stop - at), ++number);
		at = stop + 1;
	}
}

int
main(void)
{
	struct compiler c = {.program = "qmail-newu", .temporary = STR_INIT};
	struct str content = STR_INIT, ends = STR_INIT;

	if (!home_enter())
		compile_fail(&c, "can't enter %s: %s", home(), strerror(errno));
	if (file_read(SOURCE, &content, CONTROL_SIZE) != CONTROL_OK)
		compile_fail(&c, "can't read " SOURCE ": %s", strerror(errno));
	compile_begin(&c, "qmail-newu", ASSIGN_DATABASE);
	add_lines(&c, &ends, &content);
	compile_add(&c, "", 0, ends.s, ends.len);
	compile_end(&c);
	return 0;
}
