/* Prints whose each address is, by users/cdb of the home: for test_tables.py. */
#include "lib/assign.h"
#include "lib/identity.h"

#include <stdio.h>

int
main(int count, char **arguments)
{
	struct assignment a = ASSIGNMENT_INIT;
	int i;

	if (count > 1 && !home_enter())
		return 1;
	for (i = 1; i < count; i++) {
		switch (assign_find(&a, arguments[i])) {
		case CDBFILE_FOUND:
			printf("%s:%u:%u:%s:%s:%s%s\n", a.user, a.uid, a.gid, a.home, a.dash, a.ext,
			    a.rest.s);
			break;
		case CDBFILE_ABSENT: puts("absent"); break;
		default: puts("error");
		}
	}
	assignment_free(&a);
	return 0;
}
