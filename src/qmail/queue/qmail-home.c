/*
 * qmail-home: makes the home and its queue, or says where they differ from what they should
 * be, and what lies in the queue without a reason. Owners are looked up by name, so it runs on the
 * machine where the suite will. See qmail-home(8).
 *
 * It runs as root over directories that belong to others, so no path is followed through a
 * symbolic link there: each is opened component by component, and everything is done to
 * the open file.
 */
#include "lib/bio.h"
#include "lib/controls.h"
#include "lib/identity.h"
#include "lib/str.h"
#include "queue/contents.h"
#include "queue/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_SAME = 0, EXIT_DIFFERENT = 1, EXIT_CONTENTS = 2, EXIT_USAGE = 100, EXIT_TROUBLE = 111 };

struct house {
	bool repair; /* else only compare */
	uid_t owners[IDENTITY_COUNT];
	gid_t group;
	int root; /* directory that paths begin at */
	bool different, trouble;
	bool contents; /* of the queue, which make leaves as they are */
};

static void
report(const char *path, const char *text)
{
	printf("%s: %s\n", path, text);
}

static void
trouble(struct house *h, const char *path, const char *doing)
{
	h->trouble = true;
	say("qmail-home: can't %s %s: %s\n", doing, path, strerror(errno));
}

/* Opens the directory that the last component of path is in; *name is that component. */
static int
open_parent(int root, const char *path, const char **name)
{
	int at = fcntl(root, F_DUPFD_CLOEXEC, 3), next;
	char part[64];
	const char *slash;

	for (; at >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		if (snprintf(part, sizeof part, "%.*s", (int)(slash - path), path) >=
		    (int)sizeof part)
			errno = ENAMETOOLONG, next = -1;
		else
			next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(at);
		at = next;
	}
	*name = path;
	return at;
}

static int
make_node(int at, const char *name, const struct layout_entry *entry)
{
	int fd, error = 0;

	switch (entry->mode & S_IFMT) {
	case S_IFDIR: return mkdirat(at, name, 0700);
	case S_IFIFO: return mkfifoat(at, name, 0600);
	default: break;
	}
	fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (ftruncate(fd, entry->size) < 0)
		error = errno;
	close(fd);
	errno = error;
	return error ? -1 : 0;
}

static const char *
type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "a directory";
	case S_IFIFO: return "a named pipe";
	case S_IFREG: return "a regular file";
	case S_IFLNK: return "a symbolic link";
	default: return "a special file";
	}
}

/* Owner first: the kernel takes set-id bits away when it changes. */
static bool
apply(int fd, const struct house *h, const struct layout_entry *entry)
{
	return fchown(fd, h->owners[entry->owner], h->group) == 0 &&
	       fchmod(fd, entry->mode & 07777) == 0;
}

static void
compare_open(struct house *h, int fd, const char *path, const struct layout_entry *entry, bool made)
{
	struct str text = STR_INIT;
	const char *separator = "";
	struct stat file;

	if (fstat(fd, &file) < 0) {
		trouble(h, path, "look at");
		return;
	}
	if ((file.st_mode & 07777) != (entry->mode & 07777)) {
		str_addf(&text, "mode %04o, should be %04o", (unsigned)file.st_mode & 07777,
		    (unsigned)entry->mode & 07777);
		separator = "; ";
	}
	if (file.st_uid != h->owners[entry->owner]) {
		str_addf(&text, "%suid %lu, should be %s (%lu)", separator,
		    (unsigned long)file.st_uid, identity_names[entry->owner],
		    (unsigned long)h->owners[entry->owner]);
		separator = "; ";
	}
	if (file.st_gid != h->group)
		str_addf(&text, "%sgid %lu, should be %s (%lu)", separator,
		    (unsigned long)file.st_gid, identity_groups[GROUP_QUEUE],
		    (unsigned long)h->group);
	if (S_ISREG(file.st_mode) && file.st_nlink > 1 && text.len)
		str_add(&text, "; has other names, so it is left as it is");
	else if (h->repair && text.len && !apply(fd, h, entry))
		trouble(h, path, "set owner and mode of");
	if (text.len) {
		h->different = true;
		report(path, made ? "made" : text.s);
	}
	str_free(&text);
}

static void
visit(struct house *h, const char *path, const struct layout_entry *entry)
{
	const char *name;
	int at = open_parent(h->root, path, &name), fd;
	struct stat file;
	bool made = false;

	if (at < 0) {
		/* Below something that is missing: that has been reported. */
		if (h->repair || (errno != ENOENT && errno != ENOTDIR && errno != EACCES))
			trouble(h, path, "reach");
		return;
	}
	if (fstatat(at, name, &file, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT) {
			trouble(h, path, "look at");
		} else if (!h->repair) {
			h->different = true;
			report(path, "missing");
		} else if (make_node(at, name, entry) < 0 ||
			   fstatat(at, name, &file, AT_SYMLINK_NOFOLLOW) < 0) {
			trouble(h, path, "make");
		} else {
			made = true;
		}
		if (!made) {
			close(at);
			return;
		}
	}
	if ((file.st_mode & S_IFMT) != (entry->mode & S_IFMT)) {
		struct str text = STR_INIT;

		str_addf(
		    &text, "is %s, should be %s", type_name(file.st_mode), type_name(entry->mode));
		report(path, text.s);
		str_free(&text);
		h->different = true;
		if (h->repair)
			h->trouble = true; /* what it is in the way of is not ours to remove */
	} else {
		fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0) {
			trouble(h, path, "open");
		} else {
			compare_open(h, fd, path, entry, made);
			close(fd);
		}
	}
	close(at);
}

static void
visit_split(struct house *h, const struct layout_entry *entry)
{
	struct layout_entry part = *entry;
	struct str path = STR_INIT;
	unsigned i;

	for (i = 0; i < QUEUE_SPLIT; i++) {
		str_set(&path, entry->path);
		str_addf(&path, "/%u", i);
		part.path = path.s;
		visit(h, path.s, &part);
	}
	str_free(&path);
}

/*
 * The home's bin may be a link to where a version's programs are; who put them there also
 * gave them their owners and modes.
 */
static bool
is_link(int at, const char *name)
{
	struct stat file;

	return fstatat(at, name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(file.st_mode);
}

static void
visit_home(struct house *h)
{
	size_t i;

	for (i = 0; i < layout_home_count; i++) {
		const struct layout_entry *entry = &layout_home[i];

		if (!strcmp(entry->path, "bin") && is_link(h->root, "bin"))
			continue;
		visit(h, entry->path, entry);
		if (entry->split)
			visit_split(h, entry);
	}
}

/* Programs are never made here, so a missing one is a difference even while repairing. */
static void
visit_programs(struct house *h, const char *directory)
{
	int root = h->root, at = openat(root, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *const *name;

	if (at < 0) {
		trouble(h, directory, "open");
		return;
	}
	h->root = at;
	for (name = layout_programs; *name; name++) {
		struct layout_entry entry = layout_program(*name);
		struct str path = STR_INIT;

		if (faccessat(at, *name, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
			str_addf(&path, "%s/%s", directory, *name);
			report(path.s, "missing");
			str_free(&path);
			h->different = true;
			h->trouble = h->trouble || h->repair;
		} else {
			visit(h, *name, &entry);
		}
	}
	h->root = root;
	close(at);
}

/* What make would not mend: what it is for is not to be known from here. */
static void
look_into_queue(struct house *h)
{
	struct contents c = {.home = h->root, .owners = h->owners, .tell = report};
	unsigned long lifetime = 0, faults = 0;
	const char *where;

	if (fchdir(h->root) < 0 || !controls_number("queuelifetime", &lifetime)) {
		trouble(h, "control/queuelifetime", "read");
		return;
	}
	c.lifetime = (time_t)lifetime;
	if (!contents_check(&c, &faults, &where))
		trouble(h, where, "read");
	if (faults > CONTENTS_MOST)
		printf("queue: %lu more\n", faults - CONTENTS_MOST);
	h->contents = faults > 0;
}

static bool
look_up_names(struct house *h)
{
	enum identity who;

	for (who = 0; who < IDENTITY_COUNT; who++) {
		if (!identity_uid(who, &h->owners[who])) {
			say("qmail-home: there is no user %s\n", identity_names[who]);
			return false;
		}
	}
	if (!identity_gid(GROUP_QUEUE, &h->group)) {
		say("qmail-home: there is no group %s\n", identity_groups[GROUP_QUEUE]);
		return false;
	}
	return true;
}

static bool
open_root(struct house *h, const char *path)
{
	if (h->repair && mkdir(path, 0755) < 0 && errno != EEXIST) {
		trouble(h, path, "make");
		return false;
	}
	h->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->root < 0)
		trouble(h, path, "open");
	return h->root >= 0;
}

int
main(int count, char **arguments)
{
	struct house h = {.root = -1};
	bool programs = count == 3 && !strcmp(arguments[1], "programs");
	bool check = count >= 2 && !strcmp(arguments[1], "check");
	const char *path = count > 2 ? arguments[2] : home();

	if (count < 2 || count > 3 || (!programs && !check && strcmp(arguments[1], "make"))) {
		say("usage: qmail-home make [home] | check [home] | programs directory\n");
		return EXIT_USAGE;
	}
	umask(077);
	h.repair = !check;
	if (!look_up_names(&h))
		return EXIT_TROUBLE;
	if (programs) {
		h.root = AT_FDCWD;
		visit_programs(&h, path);
	} else if (open_root(&h, path)) {
		visit_home(&h);
		if (check && !is_link(h.root, "bin"))
			visit_programs(&h, "bin");
		if (check)
			look_into_queue(&h);
	}
	if (fflush(stdout))
		return EXIT_TROUBLE;
	if (h.trouble)
		return EXIT_TROUBLE;
	if (!check)
		return EXIT_SAME;
	return h.different ? EXIT_DIFFERENT : h.contents ? EXIT_CONTENTS : EXIT_SAME;
}
