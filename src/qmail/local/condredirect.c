/* condredirect: sends a message elsewhere if a program says so. See condredirect(1). */
#include "local/helper.h"
#include "local/outcome.h"

int
main(int count, char **arguments)
{
	struct list recipients = LIST_INIT;

	helper_start();
	if (count < 3)
		leave(EXIT_NEVER, "usage: in .qmail: |condredirect newaddress program [arg...]");
	helper_check_address(arguments[1]);
	switch (helper_run(arguments + 2)) {
	case 0: break;
	case EXIT_LATER: return EXIT_LATER;
	default: return 0;
	}
	list_add(&recipients, arguments[1]);
	helper_forward(&recipients);
	return 99;
}
