/*
 * qmail-qread: lists the messages that qmail-send has taken in, with what is left to do.
 * The queue may change meanwhile: a file that has just gone is not worth a word. See
 * qmail-qread(8).
 */
#include "lib/addr.h"
#include "lib/bio.h"
#include "lib/identity.h"
#include "lib/queuefs.h"
#include "lib/when.h"
#include "queue/record.h"
#include "queue/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct out out;
static char out_buffer[16384];
static bool trouble;

static void
complain(const char *path)
{
	if (errno == ENOENT)
		return;
	trouble = true;
	say("qmail-qread: can't read queue/%s: %s\n", path, strerror(errno));
}

static void
print_address(const char *address)
{
	struct str text = STR_INIT;
	size_t len = strlen(address);

	add_printable(&text, address, len, len);
	out_str(&out, &text);
	str_free(&text);
}

static void
print_recipients(const char *channel, unsigned long id)
{
	struct str path = STR_INIT, record = STR_INIT;
	char buffer[8192];
	enum record got = RECORD_END;
	struct in in;
	int fd;

	queue_split_path(&path, channel, id);
	fd = open(path.s, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		complain(path.s);
	} else {
		in_fd(&in, fd, buffer, sizeof buffer);
		while ((got = record_read(&in, &record)) == RECORD_OK) {
			out_text(&out, record.s[0] == 'D' ? "  done\t" : "\t");
			out_text(&out, channel);
			out_char(&out, '\t');
			print_address(record.s + 1);
			out_char(&out, '\n');
		}
		if (got == RECORD_ERROR)
			complain(path.s);
		close(fd);
	}
	str_free(&path);
	str_free(&record);
}

static bool
stat_at(const char *directory, bool split, unsigned long id, struct stat *file)
{
	struct str path = STR_INIT;
	bool found;

	queue_path(&path, directory, split, id);
	found = stat(path.s, file) == 0;
	if (!found)
		complain(path.s);
	str_free(&path);
	return found;
}

static void
print_message(unsigned long id)
{
	struct str text = STR_INIT, sender = STR_INIT;
	struct stat info, mess, notes;

	if (!stat_at("info", true, id, &info) || !stat_at("mess", true, id, &mess))
		return;
	if (!record_sender(id, &sender)) {
		complain("info");
	} else {
		when_822(&text, info.st_mtime);
		str_cut(&text, str_rfind(&text, ' '));
		str_addf(&text, " GMT  #%lu  %lld  <", id, (long long)mess.st_size);
		out_str(&out, &text);
		print_address(sender.s);
		out_char(&out, '>');
		if (stat_at("bounce", false, id, &notes))
			out_text(&out, " bouncing");
		out_char(&out, '\n');
		print_recipients("local", id);
		print_recipients("remote", id);
	}
	str_free(&text);
	str_free(&sender);
}

int
main(void)
{
	if (!home_enter() || chdir("queue") < 0) {
		say("qmail-qread: can't enter %s/queue: %s\n", home(), strerror(errno));
		return 111;
	}
	out_fd(&out, 1, out_buffer, sizeof out_buffer);
	if (!walk("info", true, print_message)) {
		say("qmail-qread: can't read queue/info: %s\n", strerror(errno));
		trouble = true;
	}
	return out_flush(&out) && !trouble ? 0 : 111;
}
