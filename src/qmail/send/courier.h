/*
 * qmail-send's side of a spawner (qmail-lspawn, qmail-rspawn): what is under way, what is
 * on its way there, what comes back.
 *
 * The spawner first says how many deliveries it can do at a time: two bytes, the high one
 * first. Then, for as long as it lives:
 *
 *	to it	two bytes SLOT, message id NUL, sender NUL, recipient NUL
 *	back	two bytes SLOT, a letter (K done, Z try again, D never) and a report, NUL
 *
 * qmail-lspawn says before it runs a delivery whose it is: U and the uid. Or, of a user who has as
 * many as concurrencyuser allows, W and the uid: that ends it, and it is to be asked for again
 * when one of those with this uid has ended, of which there is one at least.
 */
#ifndef SEND_COURIER_H
#define SEND_COURIER_H

#include "send/messages.h"

#define COURIER_LIMIT 500 /* deliveries at a time that a spawner can do */
#define REPORT_MAX 8192   /* bytes of a report that a spawner sends */
#define COURIER_WHOSE 'U'
#define COURIER_WAIT 'W'

struct delivery {
	struct message *message; /* NULL: the slot is free */
	struct str recipient;
	size_t at; /* offset of its record */
	unsigned long number;
	struct holder *holder; /* whose share it is a part of; NULL: not known yet */
};

struct courier {
	int to, from;
	struct delivery *slots;
	unsigned limit, busy;
	unsigned *idle; /* stack of free slots, limit - busy of them */
	struct str outgoing;
	size_t sent; /* of outgoing */
	struct str incoming;
};

/* Reads what the spawner can do and takes wanted slots at most. False: it is gone. */
bool courier_open(struct courier *courier, int to, int from, unsigned wanted);
/* Begins a delivery in a free slot, which is filled but for its number and holder. */
struct delivery *courier_start(struct courier *courier, struct message *message, const char *sender,
    const char *recipient, size_t at);
/* After the report has been dealt with. */
void courier_end(struct courier *courier, struct delivery *delivery);

/* Sends what can be sent without waiting; false: the spawner is gone. */
bool courier_write(struct courier *courier);
/* Reads what has come; false: the spawner is gone, or makes no sense. */
bool courier_read(struct courier *courier);
/* The next whole report, letter first, or NULL. Valid until the next courier_read. */
const char *courier_report(struct courier *courier, size_t *at, struct delivery **delivery);
/* Drops what courier_report has gone through. */
void courier_drop(struct courier *courier, size_t at);

#endif
