/* Messages by number: see messages.h. Chains of a table that doubles, so a look-up is short. */
#include "send/messages.h"

#include "lib/mem.h"

#include <stdlib.h>

/* Inode numbers of one directory often share their low bits. */
static size_t
place(unsigned long id, size_t room)
{
	unsigned long long mixed = id * 0x9e3779b97f4a7c15ULL;

	return (size_t)(mixed >> 20) & (room - 1);
}

static void
grow(struct message_table *table)
{
	size_t room = table->room ? 2 * table->room : 1024, i;
	struct message **chains = mem_array(room, sizeof *chains);

	for (i = 0; i < table->room; i++) {
		struct message *message = table->chains[i], *next;

		for (; message; message = next) {
			size_t at = place(message->id, room);

			next = message->next;
			message->next = chains[at];
			chains[at] = message;
		}
	}
	free(table->chains);
	table->chains = chains;
	table->room = room;
}

struct message *
message_find(const struct message_table *table, unsigned long id)
{
	struct message *message = table->room ? table->chains[place(id, table->room)] : NULL;

	while (message && message->id != id)
		message = message->next;
	return message;
}

struct message *
message_add(struct message_table *table, unsigned long id)
{
	struct message *message = mem_array(1, sizeof *message), **chain;

	if (table->count == table->room)
		grow(table);
	chain = &table->chains[place(id, table->room)];
	message->id = id;
	message->next = *chain;
	*chain = message;
	table->count++;
	return message;
}

void
message_set_early(struct message_table *table, struct message *message, const struct str *sender,
    const struct str *recipient)
{
	struct early *early = mem_array(1, sizeof *early);

	early->sender = early->recipient = (struct str)STR_INIT;
	str_set_str(&early->sender, sender);
	str_set_str(&early->recipient, recipient);
	message->early = early;
	table->early++;
}

void
message_end_early(struct message_table *table, struct message *message)
{
	if (!message->early)
		return;
	str_free(&message->early->sender);
	str_free(&message->early->recipient);
	free(message->early);
	message->early = NULL;
	table->early--;
}

void
message_drop(struct message_table *table, struct message *message)
{
	struct message **link = &table->chains[place(message->id, table->room)];

	while (*link != message)
		link = &(*link)->next;
	*link = message->next;
	table->count--;
	message_end_early(table, message);
	free(message);
}
