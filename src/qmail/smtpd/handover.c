/* From one program to the other: see handover.h. */
#include "smtpd/handover.h"

#include "smtpd/patience.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE "QMAILSMTPDSESSION"

/* In the order in which they stand there. */
enum {
	COMMANDS,
	ERRORS,
	AUTH_FAILURES,
	FIRST_END,
	LOGIN_END,
	MESSAGE_END,
	LAST_END,
	WELCOME,
	GREETED,
	EXTENDED,
	NUMBERS
};

/* Numbers, each with a blank behind it, then the name that came with HELO or EHLO. */
bool
handover_give(const struct session *s)
{
	const unsigned long numbers[NUMBERS] = {
	    [COMMANDS] = s->commands,
	    [ERRORS] = s->errors,
	    [AUTH_FAILURES] = s->auth_failures,
	    [FIRST_END] = (unsigned long)s->first_end,
	    [LOGIN_END] = (unsigned long)s->login_end,
	    [MESSAGE_END] = (unsigned long)s->message_end,
	    [LAST_END] = (unsigned long)s->last_end,
	    [WELCOME] = s->welcome,
	    [GREETED] = s->greeted,
	    [EXTENDED] = s->extended,
	};
	struct str text = STR_INIT;
	bool done;
	size_t i;

	for (i = 0; i < NUMBERS; i++) {
		str_add_number(&text, numbers[i]);
		str_add_char(&text, ' ');
	}
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
parse(const char *text, unsigned long numbers[NUMBERS], struct str *rest)
{
	struct str word = STR_INIT;
	bool whole = true;
	size_t i;

	for (i = 0; i < NUMBERS && whole; i++) {
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
	unsigned long numbers[NUMBERS] = {0};
	const char *text = getenv(VARIABLE);
	bool whole;

	if (!text)
		return false;
	whole = parse(text, numbers, &s->helo);
	unsetenv(VARIABLE);
	if (!whole) {
		note(s, "unable to go on: " VARIABLE " is not whole");
		session_abort(s, "421 unable to go on (#4.3.0)");
	}
	s->commands = numbers[COMMANDS];
	s->errors = numbers[ERRORS];
	s->auth_failures = numbers[AUTH_FAILURES];
	s->first_end = (long long)numbers[FIRST_END];
	s->login_end = (long long)numbers[LOGIN_END];
	s->message_end = (long long)numbers[MESSAGE_END];
	s->last_end = (long long)numbers[LAST_END];
	s->welcome = numbers[WELCOME];
	s->greeted = numbers[GREETED];
	s->extended = numbers[EXTENDED];
	patience_hold(s);
	return true;
}
