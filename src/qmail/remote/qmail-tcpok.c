/* qmail-tcpok: forgets the hosts that timed out. See qmail-tcpok(8) and tcpto.h. */
#include "lib/bio.h"
#include "lib/identity.h"
#include "lib/queuefs.h"
#include "lib/tcpto.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int
main(void)
{
	if (home_enter() && chdir("queue") == 0 && tcpto_clear(QUEUE_TCPTO))
		return 0;
	say("qmail-tcpok: can't empty %s/queue/" QUEUE_TCPTO ": %s\n", home(), strerror(errno));
	return 111;
}
