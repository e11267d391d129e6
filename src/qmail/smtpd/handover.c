/* From one program to the other: see handover.h. */
#include "smtpd/handover.h"

#include "lib/mem.h"
#include "smtpd/patience.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE "QMAILSMTPDSESSION"

enum { COUNTS = 3, TIMES = 4, FLAGS = 3 };

static void
add(struct str *to, unsigned long number)
{
	str_add_number(to, number);
	str_add_char(to, ' ');
}

/* Numbers, each with a blank behind it, then the name that came with HELO or EHLO. */
bool
handover_give(const struct session *s)
{
	const unsigned long numbers[COUNTS + TIMES + FLAGS] = {s->commands, s->errors,
	    s->auth_failures, (unsigned long)s->first_end, (unsigned long)s->login_end,
	    (unsigned long)s->message_end, (unsigned long)s->last_end, s->welcome, s->greeted,
	    s->extended};
	struct str text = STR_INIT;
	bool done;
	size_t i;

	for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
		add(&text, numbers[i]);
	str_add_str(&text, &s->helo);
	done = setenv(VARIABLE, text.s, 1) == 0;
	str_free(&text);
	return done;
}

void
handover_withdraw(void)
{
	unsetenv(VARIABLE);
}

static bool
parse(const char *text, unsigned long *numbers, size_t count, struct str *rest)
{
	struct str word = STR_INIT;
	bool whole = true;
	size_t i;

	for (i = 0; i < count && whole; i++) {
		size_t len = strcspn(text, " ");

		str_set_bytes(&word, text, len);
		whole = text[len] && number_parse(word.s, LLONG_MAX, &numbers[i]);
		text += len + (text[len] != 0);
	}
	str_set(rest, text);
	str_free(&word);
	return whole;
}

bool
handover_take(struct session *s)
{
	unsigned long numbers[COUNTS + TIMES + FLAGS] = {0};
	const char *text = getenv(VARIABLE);
	bool whole;

	if (!text)
		return false;
	whole = parse(text, numbers, COUNTS + TIMES + FLAGS, &s->helo);
	unsetenv(VARIABLE);
	if (!whole) {
		note(s, "unable to go on: " VARIABLE " is not whole");
		session_abort(s, "421 unable to go on (#4.3.0)");
	}
	s->commands = numbers[0];
	s->errors = numbers[1];
	s->auth_failures = numbers[2];
	s->first_end = (long long)numbers[3];
	s->login_end = (long long)numbers[4];
	s->message_end = (long long)numbers[5];
	s->last_end = (long long)numbers[6];
	s->welcome = numbers[7];
	s->greeted = numbers[8];
	s->extended = numbers[9];
	patience_hold(s);
	return true;
}
