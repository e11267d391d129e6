/*
 * How much may be in a user's Maildir, and how much is (Maildir++). Both who delivers and who
 *deletes keep the count, as the user whose it is:
 *
 *	users/quotas.cdb	uid, decimal -> bytes, decimal; who isn't in it has no limit
 *	MAILDIR/maildirsize	what is in it: lib/maildirsize.h
 *	users/full/UID		what others should know of it, one line of QUOTA_NOTE bytes,
 *				"USED LIMIT LEVEL WARNED" and blanks: LEVEL is ok, 80, 95 (percent
 *that are used) or full (the last delivery had no room), WARNED the percent of which the user was
 *told. It is made by root, for its user to write.
 *
 * A folder, DIRECTORY/.NAME/, counts for the Maildir that it is in.
 */
#ifndef LIB_MAILDIRQUOTA_H
#define LIB_MAILDIRQUOTA_H

#include "lib/cdbfile.h"
#include "lib/maildirsize.h"

#include <sys/types.h>
#include <time.h>

#define QUOTA_DATABASE "users/quotas.cdb" /* below the home */
#define QUOTA_NOTES "users/full"
#define QUOTA_NOTE 64

struct quota {
	uid_t uid;
	unsigned long limit; /* bytes */
	struct timespec
	    since; /* when the table was written: what was counted earlier counts no more */
	struct maildirsize used;
	bool settled; /* counted so lately that another count would tell nothing new */
};

/*
 * The limit of a user. ABSENT: he has none, or nobody; a site where nobody has one pays for one
 * open. ERROR: it can't be known.
 */
enum cdbfile quota_of(uid_t uid, struct quota *quota);

/*
 * What is in the Maildir with this descriptor: as its maildirsize says or, where that was counted
 * under another limit, before the table was written, too long ago or wrongly, by counting. False,
 * with errno, where it can't be counted.
 */
bool quota_look(struct quota *quota, int maildir);
/* By maildirsize alone: false where it doesn't say. */
bool quota_known(struct quota *quota, int maildir);
/* By counting, which leaves a new maildirsize. */
bool quota_count(struct quota *quota, int maildir);

/* Messages have come, or gone: in used, and by a line of maildirsize where that is there. */
void quota_add(struct quota *quota, int maildir, long bytes, long count);

/* 95, 80 or 0: the highest of them that used has come to. */
unsigned quota_percent(const struct quota *quota);

/*
 * Writes the note. Returns the percent of which the user is to be told now, or 0. That is once for
 * each time that used comes to it; when it was 5 percent below meanwhile, it is another time.
 * before: the percent before the last change, for a site without a note to remember it by.
 */
unsigned quota_note(const struct quota *quota, bool full, unsigned before);
/* The same where mail has gone, of which nobody is told. */
void quota_note_less(const struct quota *quota);

#endif
