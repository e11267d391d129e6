/* forward: sends a message on to other addresses. See forward(1). */
#include "local/helper.h"
#include "local/outcome.h"

int
main(int count, char **arguments)
{
	struct list recipients = LIST_INIT;
	int i;

	helper_start();
	if (count < 2)
		leave(EXIT_NEVER, "usage: in .qmail: |forward address...");
	for (i = 1; i < count; i++) {
		helper_check_address(arguments[i]);
		list_add(&recipients, arguments[i]);
	}
	helper_forward(&recipients);
	return 0;
}
