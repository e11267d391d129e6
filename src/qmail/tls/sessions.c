/* The processes of the sessions: see sessions.h. */
#include "tls/sessions.h"

#include <signal.h>
#include <stdlib.h>

struct entry {
	pid_t pid;
	bool leaving;
	bool killed;
	unsigned long turn; /* in which they began to leave */
};

static struct entry *entries;
static unsigned long max, count, leaving, turns;

bool
sessions_init(unsigned long limit)
{
	max = limit;
	entries = calloc(2 * max, sizeof *entries);
	return entries;
}

bool
sessions_has_place(void)
{
	return count - leaving < max && count < 2 * max;
}

void
sessions_began(pid_t pid)
{
	entries[count++] = (struct entry){.pid = pid};
}

static struct entry *
find(pid_t pid)
{
	unsigned long i;

	for (i = 0; i < count; i++)
		if (entries[i].pid == pid)
			return &entries[i];
	return NULL;
}

/* It is a child of ours that nobody has waited for, so the number is nobody else's. */
static void
end_the_first(void)
{
	struct entry *first = NULL;
	unsigned long i;

	for (i = 0; i < count; i++) {
		struct entry *entry = &entries[i];

		if (entry->leaving && !entry->killed && (!first || entry->turn < first->turn))
			first = entry;
	}
	if (first) {
		kill(first->pid, SIGKILL);
		first->killed = true;
	}
}

void
sessions_leaving(pid_t pid)
{
	struct entry *entry = find(pid);

	if (!entry || entry->leaving)
		return;
	entry->leaving = true;
	entry->turn = turns++;
	if (++leaving > (max + 1) / 2)
		end_the_first();
}

bool
sessions_ended(pid_t pid)
{
	struct entry *entry = find(pid);
	bool had_place;

	if (!entry)
		return false;
	had_place = !entry->leaving;
	leaving -= entry->leaving;
	*entry = entries[--count];
	return had_place;
}
