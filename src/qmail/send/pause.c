/* Pauses per destination: see pause.h. */
#include "send/pause.h"

#include "lib/mem.h"

#include <stdlib.h>
#include <string.h>

#define SAID "Remote host said: " /* qmail-remote(8): in front of a reply */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The first line of a reply: 421, or 4yz and behind it 4.7. */
static bool
has_enough(const char *reply)
{
	if (reply[0] != '4' || !is_digit(reply[1]) || !is_digit(reply[2]))
		return false;
	return strncmp(reply, "421", 3) == 0 ||
	       ((reply[3] == ' ' || reply[3] == '-') && strncmp(reply + 4, "4.7.", 4) == 0);
}

bool
pause_is_asked_for(const char *report)
{
	const char *at = report;

	while ((at = strstr(at, SAID))) {
		bool begins = at == report || at[-1] == '\n';

		at += strlen(SAID);
		if (begins && has_enough(at))
			return true;
	}
	return false;
}

static struct pause *
find(const struct pauses *pauses, const char *domain)
{
	struct pause *pause = pauses->first;

	while (pause && !str_equal(&pause->domain, domain))
		pause = pause->next;
	return pause;
}

static void
drop(struct pauses *pauses, struct pause *pause)
{
	struct pause **link = &pauses->first;

	while (*link != pause)
		link = &(*link)->next;
	*link = pause->next;
	pauses->count--;
	str_free(&pause->domain);
	free(pause);
}

/* The one that ends first, and any that nobody remembers. */
static void
make_room(struct pauses *pauses, time_t now)
{
	struct pause *pause = pauses->first, *next, *oldest;

	for (; pause; pause = next) {
		next = pause->next;
		if (pause->until + PAUSE_KEPT < now)
			drop(pauses, pause);
	}
	if (pauses->count < PAUSES_MOST)
		return;
	for (oldest = pause = pauses->first; pause; pause = pause->next)
		if (pause->until < oldest->until)
			oldest = pause;
	drop(pauses, oldest);
}

time_t
pause_begin(struct pauses *pauses, const char *domain, time_t now)
{
	struct pause *pause = find(pauses, domain);

	if (pause && now < pause->until)
		return 0;
	if (!pause) {
		make_room(pauses, now);
		pause = mem_array(1, sizeof *pause);
		pause->domain = (struct str)STR_INIT;
		str_set(&pause->domain, domain);
		pause->length = 0;
		pause->next = pauses->first;
		pauses->first = pause;
		pauses->count++;
	} else if (pause->until + PAUSE_KEPT < now) {
		pause->length = 0;
	}
	pause->length = pause->length ? 2 * pause->length : PAUSE_FIRST;
	if (pause->length > PAUSE_MOST)
		pause->length = PAUSE_MOST;
	pause->until = now + pause->length;
	return pause->length;
}

time_t
pause_until(const struct pauses *pauses, const char *domain, time_t now)
{
	const struct pause *pause = find(pauses, domain);

	/* A clock that was set back makes no pause longer. */
	return pause && now < pause->until && pause->until - now <= PAUSE_MOST ? pause->until : 0;
}

bool
pause_on_probation(const struct pauses *pauses, const char *domain)
{
	return find(pauses, domain) != NULL;
}

bool
pause_end(struct pauses *pauses, const char *domain)
{
	struct pause *pause = find(pauses, domain);

	if (pause)
		drop(pauses, pause);
	return pause != NULL;
}
