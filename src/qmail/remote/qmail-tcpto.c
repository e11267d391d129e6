/* qmail-tcpto: the hosts that recently timed out. See qmail-tcpto(8) and tcpto.h. */
#include "lib/bio.h"
#include "lib/identity.h"
#include "lib/queuefs.h"
#include "lib/tcpto.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
main(void)
{
	struct tcpto_entry entries[TCPTO_SLOTS];
	struct str line = STR_INIT;
	time_t now = time(NULL);
	size_t i, count;

	if (!home_enter() || chdir("queue") < 0 || access(QUEUE_TCPTO, R_OK) < 0) {
		say("qmail-tcpto: can't read %s/queue/" QUEUE_TCPTO ": %s\n", home(),
		    strerror(errno));
		return 111;
	}
	count = tcpto_read(QUEUE_TCPTO, entries);
	for (i = 0; i < count; i++) {
		netip_add(&line, &entries[i].ip);
		str_addf(&line, " timed out %lld seconds ago; # recent timeouts: %u\n",
		    (long long)(now - entries[i].when), entries[i].count);
	}
	fputs(line.s, stdout);
	str_free(&line);
	return fflush(stdout) ? 111 : 0;
}
