/* Messages by number: see book.h. Chains of a table that doubles, so a look-up is short. */
#include "send/book.h"

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
grow(struct book *book)
{
	size_t room = book->room ? 2 * book->room : 1024, i;
	struct message **chains = mem_array(room, sizeof *chains);

	for (i = 0; i < book->room; i++) {
		struct message *message = book->chains[i], *next;

		for (; message; message = next) {
			size_t at = place(message->id, room);

			next = message->next;
			message->next = chains[at];
			chains[at] = message;
		}
	}
	free(book->chains);
	book->chains = chains;
	book->room = room;
}

struct message *
book_find(const struct book *book, unsigned long id)
{
	struct message *message = book->room ? book->chains[place(id, book->room)] : NULL;

	while (message && message->id != id)
		message = message->next;
	return message;
}

struct message *
book_add(struct book *book, unsigned long id)
{
	struct message *message = mem_array(1, sizeof *message), **chain;

	if (book->count == book->room)
		grow(book);
	chain = &book->chains[place(id, book->room)];
	message->id = id;
	message->next = *chain;
	*chain = message;
	book->count++;
	return message;
}

void
book_drop(struct book *book, struct message *message)
{
	struct message **link = &book->chains[place(message->id, book->room)];

	while (*link != message)
		link = &(*link)->next;
	*link = message->next;
	book->count--;
	free(message);
}
