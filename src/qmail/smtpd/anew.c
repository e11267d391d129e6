/* Changed lists in an open session: see anew.h. */
#include "smtpd/anew.h"

#include "lib/control.h"
#include "lib/idn.h"

#include <string.h>
#include <sys/stat.h>

enum { RCPTHOSTS, BADMAILFROM, FILES };

static const char *const names[FILES] = {"rcpthosts", "badmailfrom"};
static const char *const paths[FILES] = {"control/rcpthosts", "control/badmailfrom"};

/* What tells one file, or none, from another. */
struct mark {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec written, changed;
};

static struct mark marks[FILES];

static void
look(struct mark *mark, size_t file)
{
	struct stat now;

	memset(mark, 0, sizeof *mark);
	if (stat(paths[file], &now) < 0)
		return;
	mark->device = now.st_dev;
	mark->inode = now.st_ino;
	mark->size = now.st_size;
	mark->written = now.st_mtim;
	mark->changed = now.st_ctim;
}

void
anew_begin(void)
{
	size_t i;

	for (i = 0; i < FILES; i++)
		look(&marks[i], i);
}

static bool
same(const struct mark *a, const struct mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->written.tv_sec == b->written.tv_sec && a->written.tv_nsec == b->written.tv_nsec &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* The small program can't spell a name with letters beyond ASCII: the next session can. */
static bool
spellable(const struct list *list)
{
	struct str name = STR_INIT;
	bool can = true;
	size_t i;

	for (i = 0; i < list->count && can; i++)
		can = idn_to_ascii(&name, list->items[i]) != IDN_UNAVAILABLE;
	str_free(&name);
	return can;
}

static bool
take(struct list *list, size_t file, bool domains)
{
	struct list fresh = LIST_INIT;
	struct mark now;

	look(&now, file);
	if (same(&now, &marks[file]))
		return true;
	if (control_list(names[file], &fresh) == CONTROL_ERROR) {
		list_free(&fresh);
		return false;
	}
	list_index(&fresh);
	if (domains && !spellable(&fresh)) {
		list_free(&fresh);
		return false;
	}
	if (domains)
		idn_keys(&fresh);
	list_sort(&fresh);
	list_free(list);
	*list = fresh;
	marks[file] = now;
	return true;
}

bool
anew_rcpthosts(struct config *config)
{
	return take(&config->rcpthosts, RCPTHOSTS, true);
}

bool
anew_badmailfrom(struct config *config)
{
	return take(&config->badmailfrom, BADMAILFROM, false);
}
