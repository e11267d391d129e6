/*
 * qmail-list ADDRESS: sends the message on to the members of a list, once for all of them. See
 * qmail-list(1). Run by the .qmail file of the list's address, as alias.
 */
#include "lib/addr.h"
#include "lib/cdbfile.h"
#include "lib/control.h"
#include "lib/identity.h"
#include "local/helper.h"
#include "local/listmail.h"
#include "local/message.h"
#include "local/outcome.h"
#include "local/resend.h"

#include <errno.h>
#include <string.h>

#define DATABASE "users/lists.cdb"
#define MEMBERS "users/lists/"
#define HEADER_MAX ((size_t)1 << 20)
#define EXIT_QUIET 99

struct mailing {
	struct str address; /* in lower case */
	struct str policy, id;
	struct list members;
	struct message message;
	struct str header, text;
};

/* What can't be used now is mended by whoever declares the lists. */
static _Noreturn void
unusable(const char *what, const char *why)
{
	leave(EXIT_LATER, "Can't use %s: %s. (#4.3.5)", what, why);
}

static void
take_address(struct str *address, const char *argument)
{
	str_set(address, argument);
	str_lower(address);
	if (!addr_is_bare(address->s) || str_find(address, '@') == address->len ||
	    str_find(address, '/') != address->len)
		leave(EXIT_LATER, "%s is not the address of a list. (#4.3.5)", argument);
}

/* Policy and id, each with its NUL. */
static void
look_up(struct mailing *m)
{
	struct str value = STR_INIT;

	switch (cdbfile_get(DATABASE, m->address.s, m->address.len, &value)) {
	case CDBFILE_FOUND: break;
	case CDBFILE_ABSENT: unusable(DATABASE, "this list is not in it");
	default: unusable(DATABASE, "it can't be read");
	}
	str_set(&m->policy, value.s);
	if (value.len > m->policy.len)
		str_set(&m->id, value.s + m->policy.len + 1);
	if (!m->id.len || value.len != m->policy.len + m->id.len + 2 ||
	    strpbrk(m->id.s, " \t\r\n<>"))
		unusable(DATABASE, "what it says of this list is malformed");
	str_free(&value);
}

/* Whoever may send to a list that isn't everybody's is in the table beside it. */
static void
check_sender(const struct mailing *m, const char *sender)
{
	struct str key = STR_INIT, lower = STR_INIT;
	enum cdbfile found = CDBFILE_FOUND;

	str_set(&lower, sender);
	str_lower(&lower);
	str_set_str(&key, &m->address);
	str_add_char(&key, 0);
	str_add_str(&key, &lower);
	if (!str_equal(&m->policy, "anyone"))
		found = cdbfile_get(DATABASE, key.s, key.len, NULL);
	if (found == CDBFILE_ERROR)
		unusable(DATABASE, "it can't be read");
	if (found == CDBFILE_ABSENT)
		leave(
		    EXIT_NEVER, "This sender may not write to the list %s. (#5.7.2)", m->address.s);
	str_free(&key);
	str_free(&lower);
}

static void
read_header(struct mailing *m)
{
	struct str line = STR_INIT;
	enum in_line state;

	do {
		state = in_line(&m->message.in, &line, '\n', HEADER_MAX - m->header.len);
		str_add_str(&m->header, &line);
		if (state == IN_LINE_OK && line.len)
			str_add_char(&m->header, '\n');
	} while (state == IN_LINE_OK && line.len && m->header.len < HEADER_MAX);
	if (state == IN_LINE_ERROR)
		leave(EXIT_LATER, "Can't read the message: %s. (#4.3.0)", strerror(errno));
	if (state == IN_LINE_LONG || m->header.len >= HEADER_MAX)
		leave(EXIT_NEVER, "The header is too long for a list. (#5.3.4)");
	if (str_has_nul(&m->header))
		leave(EXIT_NEVER, "There is a NUL in the header. (#5.6.0)");
	str_free(&line);
}

static void
read_members(struct mailing *m)
{
	struct str path = STR_INIT;
	size_t i;

	str_set(&path, MEMBERS);
	str_add_str(&path, &m->address);
	switch (file_list(path.s, &m->members)) {
	case CONTROL_OK: break;
	case CONTROL_ABSENT: unusable(path.s, "there is no such file");
	default: unusable(path.s, strerror(errno));
	}
	list_index(&m->members);
	for (i = 0; i < m->members.count; i++)
		if (!addr_is_bare(m->members.items[i]) || !strchr(m->members.items[i], '@'))
			unusable(path.s, "a line of it is not one whole address");
	str_free(&path);
}

/* Mail that the list may not answer to, or has seen, ends here without a word to anybody. */
static void
end_loops(const struct mailing *m, const char *sender)
{
	const char *why = NULL;

	if (!*sender || !strcmp(sender, "#@[]"))
		why = "bounces are for its owner";
	else if (listmail_judge(&m->header, m->id.s) == LISTMAIL_SEEN)
		why = "it has been sent by this list";
	else if (listmail_judge(&m->header, m->id.s) == LISTMAIL_ANSWER)
		why = "it is a program's answer";
	if (why)
		leave(EXIT_QUIET, "Not sent to the list %s: %s.", m->address.s, why);
}

static int
send_on(struct mailing *m, const char *line)
{
	size_t at = str_rfind(&m->address, '@');
	struct str owner = STR_INIT;
	enum outcome outcome;
	unsigned long id;

	if (!m->members.count) {
		report("The list %s has no members.", m->address.s);
		return 0;
	}
	str_set_bytes(&owner, m->address.s, at);
	str_add(&owner, "-owner");
	str_add(&owner, m->address.s + at);
	str_set(&m->text, line);
	listmail_rewrite(&m->text, &m->header, m->id.s);
	str_add_char(&m->text, '\n');
	outcome = resend(m->text.s, &m->message, owner.s, &m->members, true, &id);
	if (outcome != OUTCOME_DONE)
		return outcome == OUTCOME_NEVER ? EXIT_NEVER : EXIT_LATER;
	report("list %s: %zu members, qp %lu", m->address.s, m->members.count, id);
	return 0;
}

int
main(int count, char **arguments)
{
	static struct mailing m = {.address = STR_INIT,
	    .policy = STR_INIT,
	    .id = STR_INIT,
	    .members = LIST_INIT,
	    .header = STR_INIT,
	    .text = STR_INIT};
	const char *sender, *line;

	helper_start();
	if (count != 2)
		leave(EXIT_NEVER, "usage: in .qmail: |qmail-list address");
	sender = helper_variable("SENDER");
	line = helper_line();
	take_address(&m.address, arguments[1]);
	if (!home_enter())
		unusable(home(), strerror(errno));
	look_up(&m);
	message_open_here(&m.message);
	read_header(&m);
	end_loops(&m, sender);
	check_sender(&m, sender);
	read_members(&m);
	return send_on(&m, line);
}
