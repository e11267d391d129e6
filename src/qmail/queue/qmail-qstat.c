/* qmail-qstat: how many messages are in the queue. See qmail-qstat(8). */
#include "lib/bio.h"
#include "lib/identity.h"
#include "queue/walk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned long seen;

static void
count(unsigned long id)
{
	(void)id;
	seen++;
}

static unsigned long
number_in(const char *directory, bool split)
{
	seen = 0;
	if (!walk(directory, split, count)) {
		say("qmail-qstat: can't read queue/%s: %s\n", directory, strerror(errno));
		_exit(111);
	}
	return seen;
}

int
main(void)
{
	unsigned long messages, waiting;

	if (!home_enter() || chdir("queue") < 0) {
		say("qmail-qstat: can't enter %s/queue: %s\n", home(), strerror(errno));
		return 111;
	}
	messages = number_in("mess", true);
	waiting = number_in("todo", false);
	printf("messages in queue: %lu\nmessages in queue but not yet preprocessed: %lu\n",
	    messages, waiting);
	return fflush(stdout) ? 111 : 0;
}
