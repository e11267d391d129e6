/* bouncesaying: refuses a message if a program says so. See bouncesaying(1). */
#include "local/helper.h"
#include "local/outcome.h"

int
main(int count, char **arguments)
{
	helper_start();
	if (count < 2)
		leave(EXIT_NEVER, "usage: in .qmail: |bouncesaying error [program [arg...]]");
	switch (count > 2 ? helper_run(arguments + 2) : 0) {
	case 0: leave(EXIT_NEVER, "%s", arguments[1]);
	case EXIT_LATER: return EXIT_LATER;
	default: return 0;
	}
}
