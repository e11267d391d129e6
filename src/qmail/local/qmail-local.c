/*
 * qmail-local: delivers the message on descriptor 0 to one local address. qmail-lspawn does the
 * same without executing it; this is for whoever tries a .qmail file. See qmail-local(8) and
 * dot-qmail(5).
 */
#include "local/local.h"

int
main(int count, char **arguments)
{
	return local_main(count, arguments);
}
