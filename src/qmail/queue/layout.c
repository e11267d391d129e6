/*
 * The home's layout: see layout.h. Who may do what follows from it: only qmailq brings
 * messages in and takes them out (pid, intd, mess, todo), only qmails keeps the books on
 * them (info, local, remote, bounce), group qmail can read messages, nobody else gets into
 * the queue at all; qmail-queue is the one way in.
 */
#include "queue/layout.h"

#include "lib/tcpto.h"

#include <string.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct layout_entry layout_home[] = {
    {".", S_IFDIR | 0755, IDENTITY_OWNER, false, 0},
    {"alias", S_IFDIR | 02755, IDENTITY_OWNER, false, 0},
    {"bin", S_IFDIR | 0755, IDENTITY_OWNER, false, 0},
    {"control", S_IFDIR | 0755, IDENTITY_OWNER, false, 0},
    {"users", S_IFDIR | 0755, IDENTITY_OWNER, false, 0},
    {"queue", S_IFDIR | 0750, IDENTITY_QUEUE, false, 0},
    {"queue/pid", S_IFDIR | 0700, IDENTITY_QUEUE, false, 0},
    {"queue/mess", S_IFDIR | 0750, IDENTITY_QUEUE, true, 0},
    {"queue/intd", S_IFDIR | 0700, IDENTITY_QUEUE, false, 0},
    {"queue/todo", S_IFDIR | 0750, IDENTITY_QUEUE, false, 0},
    {"queue/info", S_IFDIR | 0700, IDENTITY_SEND, true, 0},
    {"queue/local", S_IFDIR | 0700, IDENTITY_SEND, true, 0},
    {"queue/remote", S_IFDIR | 0700, IDENTITY_SEND, true, 0},
    {"queue/bounce", S_IFDIR | 0700, IDENTITY_SEND, false, 0},
    {"queue/lock", S_IFDIR | 0750, IDENTITY_QUEUE, false, 0},
    {"queue/lock/sendmutex", S_IFREG | 0600, IDENTITY_SEND, false, 0},
    {"queue/lock/tcpto", S_IFREG | 0644, IDENTITY_REMOTE, false, TCPTO_SIZE},
    {"queue/lock/trigger", S_IFIFO | 0622, IDENTITY_SEND, false, 0},
};
const size_t layout_home_count = COUNT(layout_home);

static const struct layout_entry special_programs[] = {
    {"qmail-queue", S_IFREG | 04711, IDENTITY_QUEUE, false, 0},
    {"qmail-lspawn", S_IFREG | 0700, IDENTITY_OWNER, false, 0},
    {"qmail-start", S_IFREG | 0700, IDENTITY_OWNER, false, 0},
    {"qmail-newu", S_IFREG | 0700, IDENTITY_OWNER, false, 0},
    {"qmail-newmrh", S_IFREG | 0700, IDENTITY_OWNER, false, 0},
};

struct layout_entry
layout_program(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(special_programs); i++)
		if (!strcmp(special_programs[i].path, name))
			return special_programs[i];
	return (struct layout_entry){name, S_IFREG | 0711, IDENTITY_OWNER, false, 0};
}
