/*
 * What one run of qmail-local knows: its arguments, and the lines and the environment that
 * follow from them.
 */
#ifndef LOCAL_DELIVERY_H
#define LOCAL_DELIVERY_H

#include "lib/str.h"

struct delivery {
	const char *user, *home, *local, *dash, *ext, *domain, *sender, *fallback;
	bool whole; /* what has no instructions of its own goes by the user's, or the fallback */
	struct str recipient;    /* local@domain */
	struct str new_sender;   /* for what is forwarded */
	struct str delivered_to; /* "Delivered-To: local@domain\n" */
	struct str return_path;  /* "Return-Path: <sender>\n" */
	struct str from_line;    /* "From sender date\n" */
	const char *matched;     /* what "default" of the file's name stood for; or NULL */
};

/*
 * Takes dash and ext as an assignment has them, qmail-users(5). An empty dash is the user himself;
 * with a dash in front of ext it is an extension of his that is his as well, should nothing be said
 * of it.
 */
void delivery_extend(struct delivery *d, const char *dash, const char *ext);
/* Fills in recipient and the three lines, from the arguments; new_sender is the sender. */
void delivery_prepare(struct delivery *d);
/*
 * The local part as people know it: of an address in a virtual domain without the domain's name and
 * the dash that qmail-send has put in front.
 */
const char *delivery_local(const struct delivery *d);
/* The forwarding sender of a list with an owner; verp: one sender a recipient. */
void delivery_set_owner(struct delivery *d, bool verp);
/* The environment of a program, from ours and qmail-command(8)'s variables; ends with NULL. */
char **delivery_environment(const struct delivery *d);

#endif
