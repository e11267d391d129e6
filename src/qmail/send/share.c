/* Shares of the deliveries at a time: see share.h. */
#include "send/share.h"

#include "lib/mem.h"

#include <stdlib.h>

unsigned
share_size(unsigned long slots, unsigned long wanted)
{
	if (!wanted)
		wanted = slots / 3;
	return wanted ? (unsigned)wanted : 1;
}

void
share_open(struct share *share, unsigned limit)
{
	*share = (struct share){.limit = limit};
	share->ready.end = &share->ready.first;
}

static void
line_add(struct line *line, struct waiting *waiting)
{
	waiting->next = NULL;
	*line->end = waiting;
	line->end = &waiting->next;
}

static struct waiting *
line_take(struct line *line)
{
	struct waiting *first = line->first;

	line->first = first->next;
	if (!line->first)
		line->end = &line->first;
	return first;
}

/* Few: each but one without a delivery under way has one, or is about to. */
struct holder *
share_holder(struct share *share, const char *name)
{
	struct holder *holder = share->holders;

	while (holder && !str_equal(&holder->name, name))
		holder = holder->next;
	if (holder)
		return holder;
	holder = mem_array(1, sizeof *holder);
	holder->name = (struct str)STR_INIT;
	str_set(&holder->name, name);
	holder->next = share->holders;
	share->holders = holder;
	return holder;
}

static void
drop_unused(struct share *share, struct holder *holder)
{
	struct holder **link = &share->holders;

	if (holder->running || holder->ready || holder->first)
		return;
	while (*link != holder)
		link = &(*link)->next;
	*link = holder->next;
	str_free(&holder->name);
	free(holder);
}

void
share_enter(struct holder *holder)
{
	holder->running++;
}

static void
add_party(struct holder *holder, struct party *party)
{
	party->next = NULL;
	if (holder->last)
		holder->last->next = party;
	else
		holder->first = party;
	holder->last = party;
}

/* The next who waits; the others of that message have their turn when every message had one. */
static struct waiting *
take_turn(struct holder *holder)
{
	struct party *party = holder->first;
	struct waiting *first = line_take(&party->line);

	holder->first = party->next;
	if (!holder->first)
		holder->last = NULL;
	if (party->line.first)
		add_party(holder, party);
	else
		free(party);
	return first;
}

void
share_leave(struct share *share, struct holder *holder)
{
	if (holder->first) {
		line_add(&share->ready, take_turn(holder));
		holder->ready++;
	}
	share_cancel(share, holder);
}

void
share_fill(struct share *share, struct holder *holder)
{
	while (holder->first && holder->running + holder->ready < share->limit) {
		line_add(&share->ready, take_turn(holder));
		holder->ready++;
	}
}

void
share_cancel(struct share *share, struct holder *holder)
{
	holder->running--;
	drop_unused(share, holder);
}

void
share_wait(struct holder *holder, struct message *message, size_t at)
{
	struct waiting *waiting = mem_array(1, sizeof *waiting);

	*waiting = (struct waiting){.message = message, .at = at, .holder = holder};
	if (!holder->last || holder->last->message != message) {
		struct party *party = mem_array(1, sizeof *party);

		party->message = message;
		party->line.end = &party->line.first;
		add_party(holder, party);
	}
	line_add(&holder->last->line, waiting);
}

bool
share_ready(struct share *share, struct waiting *taken)
{
	struct waiting *first = share->ready.first;

	if (!first)
		return false;
	line_take(&share->ready);
	first->holder->ready--;
	*taken = *first;
	free(first);
	return true;
}
