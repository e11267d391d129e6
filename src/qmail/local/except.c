/* except: turns the meaning of a program's exit code round. See except(1). */
#include "local/helper.h"
#include "local/outcome.h"

int
main(int count, char **arguments)
{
	helper_start();
	if (count < 2)
		leave(EXIT_NEVER, "usage: except program [arg...]");
	switch (helper_run(arguments + 1)) {
	case 0: return EXIT_NEVER;
	case EXIT_LATER: return EXIT_LATER;
	default: return 0;
	}
}
