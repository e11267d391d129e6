/*
 * qmail-showctl: the home, its users and every control file, with the present values, in
 * words. See qmail-showctl(8).
 */
#include "lib/addr.h"
#include "lib/bio.h"
#include "lib/control.h"
#include "lib/controls.h"
#include "lib/identity.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN_LINES 200
#define SHOWN_BYTES 400

static char buffer[16384];
static struct out out;
static unsigned wrong;

/* What needs the administrator's eye. */
static void
complain(const char *text, const char *detail)
{
	wrong++;
	out_text(&out, "    WRONG: ");
	out_text(&out, text);
	out_text(&out, detail);
	out_char(&out, '\n');
}

static void
show_text(const char *before, const char *text)
{
	struct str line = STR_INIT;

	str_add(&line, before);
	add_printable(&line, text, strlen(text), SHOWN_BYTES);
	str_add_char(&line, '\n');
	out_str(&out, &line);
	str_free(&line);
}

static void
show_line(const struct control_entry *entry)
{
	struct str value = STR_INIT;

	if (control_line(entry->name, &value) == CONTROL_OK)
		show_text("    value: ", value.s);
	else
		complain("can't be read: ", strerror(errno));
	str_free(&value);
}

static void
show_number(const struct control_entry *entry)
{
	unsigned long value;

	if (controls_number(entry->name, &value)) {
		out_text(&out, "    value: ");
		out_number(&out, value);
		out_char(&out, '\n');
		return;
	}
	show_line(entry);
	complain("is no number up to the limit", "");
}

static void
show_items(const struct control_entry *entry)
{
	struct list lines = LIST_INIT;
	size_t i;

	if (control_list(entry->name, &lines) != CONTROL_OK) {
		complain("can't be read: ", strerror(errno));
		return;
	}
	list_index(&lines);
	if (!lines.count)
		out_text(&out, "    no items\n");
	for (i = 0; i < lines.count && i < SHOWN_LINES; i++) {
		show_text("    item: ", lines.items[i]);
		if (entry->kind == CONTROL_KIND_TABLE && !strchr(lines.items[i], ':'))
			complain("has no colon", "");
	}
	if (i < lines.count) {
		out_text(&out, "    and ");
		out_number(&out, lines.count - i);
		out_text(&out, " more\n");
	}
	list_free(&lines);
}

/* A database whose text was changed later than itself has not been compiled again. */
static void
show_database(const struct control_entry *entry, const struct stat *database)
{
	struct str path = STR_INIT;
	struct stat source;

	str_addf(&path, "control/%s", entry->name);
	str_cut(&path, path.len - strlen(".cdb"));
	out_text(&out, "    present\n");
	if (stat(path.s, &source) == 0 && source.st_mtime > database->st_mtime)
		complain("is older than the list it is compiled from", "");
	str_free(&path);
}

static void
show_content(const struct control_entry *entry, const struct stat *st)
{
	if (!(st->st_mode & S_IROTH)) {
		out_text(&out, "    present; not for everybody to read, so not shown\n");
		return;
	}
	if (entry->kind == CONTROL_KIND_SECRET)
		complain("has passwords, and everybody can read them", "");
	switch (entry->kind) {
	case CONTROL_KIND_LINE: show_line(entry); break;
	case CONTROL_KIND_NUMBER: show_number(entry); break;
	case CONTROL_KIND_LIST:
	case CONTROL_KIND_TABLE: show_items(entry); break;
	case CONTROL_KIND_DATABASE: show_database(entry, st); break;
	default: out_text(&out, "    present\n");
	}
}

static void
show_control(const struct control_entry *entry)
{
	struct str path = STR_INIT;
	struct stat st;

	out_char(&out, '\n');
	out_text(&out, entry->name);
	out_text(&out, entry->classic ? " (" : " (ours; ");
	out_text(&out, entry->programs);
	out_text(&out, "): ");
	out_text(&out, entry->meaning);
	out_char(&out, '\n');
	str_addf(&path, "control/%s", entry->name);
	if (!stat(path.s, &st))
		show_content(entry, &st);
	else if (errno != ENOENT)
		complain("can't be looked at: ", strerror(errno));
	else
		show_text("    default: ", entry->absent);
	str_free(&path);
}

static void
show_identities(void)
{
	int who;

	for (who = 0; who < IDENTITY_COUNT; who++) {
		uid_t uid;

		out_text(&out, "user ");
		out_text(&out, identity_names[who]);
		if (identity_uid((enum identity)who, &uid)) {
			out_text(&out, ": ");
			out_number(&out, uid);
			out_char(&out, '\n');
			continue;
		}
		out_char(&out, '\n');
		complain("does not exist", "");
	}
	for (who = 0; who < 2; who++) {
		gid_t gid;

		out_text(&out, "group ");
		out_text(&out, identity_groups[who]);
		if (identity_gid((enum identity_group)who, &gid)) {
			out_text(&out, ": ");
			out_number(&out, gid);
			out_char(&out, '\n');
			continue;
		}
		out_char(&out, '\n');
		complain("does not exist", "");
	}
}

/* Files that no program reads: often a name that was misspelt. */
static void
show_strangers(void)
{
	DIR *directory = opendir("control");
	const struct dirent *entry;

	if (!directory) {
		out_text(&out, "\ncontrol\n");
		complain("can't be read: ", strerror(errno));
		return;
	}
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.' || controls_find(entry->d_name))
			continue;
		show_text("\n", entry->d_name);
		complain("no program reads a file of this name", "");
	}
	closedir(directory);
}

int
main(void)
{
	size_t i;

	if (!home_enter()) {
		say("qmail-showctl: fatal: can't enter %s: %s\n", home(), strerror(errno));
		return 111;
	}
	out_fd(&out, 1, buffer, sizeof buffer);
	show_text("home: ", home());
	out_text(&out, "queue split: ");
	out_number(&out, QUEUE_SPLIT);
	out_char(&out, '\n');
	show_identities();
	for (i = 0; i < controls_count; i++)
		show_control(&controls[i]);
	show_strangers();
	if (!out_flush(&out))
		return 111;
	return wrong ? 1 : 0;
}
