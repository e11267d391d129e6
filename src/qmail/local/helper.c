/* What the programs have in common that .qmail files call: see helper.h. */
#include "local/helper.h"

#include "lib/addr.h"
#include "lib/descriptors.h"
#include "local/outcome.h"
#include "local/program.h"
#include "local/resend.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
helper_start(void)
{
	descriptors_tidy();
	signal(SIGPIPE, SIG_IGN);
}

int
helper_run(char *const arguments[])
{
	int code;

	lseek(0, 0, SEEK_SET);
	code = program_run(arguments[0], arguments, environ);
	if (code < 0)
		_exit(EXIT_LATER);
	lseek(0, 0, SEEK_SET);
	return code;
}

const char *
helper_variable(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		leave(EXIT_NEVER,
		    "%s is not set: this program is for program lines of .qmail files.", name);
	return value;
}

const char *
helper_line(void)
{
	const char *line = helper_variable("DTLINE"), *stop = strchr(line, '\n');

	/* One header line and nothing else, or a message could be given another header. */
	if (*line && (!stop || stop[1]))
		leave(EXIT_NEVER, "DTLINE is not one line.");
	return line;
}

void
helper_check_address(const char *address)
{
	if (!addr_is_bare(address))
		leave(EXIT_LATER,
		    "%s is not an address, one without blanks, commas and brackets. (#4.2.1)",
		    address);
}

void
helper_forward(struct list *recipients)
{
	static struct message message;
	const char *sender = helper_variable("NEWSENDER"), *line = helper_line();
	unsigned long id;

	message_open_here(&message);
	switch (resend(line, &message, sender, recipients, false, &id)) {
	case OUTCOME_DONE: report("qp %lu", id); return;
	case OUTCOME_NEVER: _exit(EXIT_NEVER);
	default: _exit(EXIT_LATER);
	}
}
