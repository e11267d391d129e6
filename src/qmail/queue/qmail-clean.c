/*
 * qmail-clean: removes files of the queue that belong to its owner, as qmail-send asks for
 * on descriptor 0; answers go to 1. The requests are in cleaner.h. See qmail-clean(8).
 */
#include "lib/bio.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "lib/queuefs.h"
#include "queue/cleaner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 32

static bool
removed(const char *directory, bool split, unsigned long id)
{
	struct str path = STR_INIT;
	bool gone;

	queue_path(&path, directory, split, id);
	gone = unlink(path.s) == 0 || errno == ENOENT;
	str_free(&path);
	return gone;
}

static bool
clean_pid_files(void)
{
	DIR *directory = opendir("pid");
	time_t now = time(NULL);
	const struct dirent *entry;
	bool clean = true;

	if (!directory)
		return false;
	while ((entry = readdir(directory))) {
		struct stat file;

		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(directory), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (now - file.st_mtime > ABANDONED &&
		    unlinkat(dirfd(directory), entry->d_name, 0) < 0)
			clean = false;
	}
	closedir(directory);
	return clean;
}

static bool
serve(const struct str *request)
{
	unsigned long id;

	if (str_equal(request, "P"))
		return clean_pid_files();
	if (!request->len || !number_parse(request->s + 1, ULONG_MAX, &id))
		return false;
	switch (request->s[0]) {
	case CLEAN_TODO: return removed("intd", false, id) && removed("todo", false, id);
	case CLEAN_MESSAGE: return removed("intd", false, id) && removed("mess", true, id);
	/* In this order: what a crash leaves of it is swept as a message that never got to todo. */
	case CLEAN_ALL:
		return removed("intd", false, id) && removed("todo", false, id) &&
		       removed("mess", true, id);
	default: return false;
	}
}

/*
 * The qmail-clean of a qmail-send that was killed may still be at its last requests. Until
 * it has ended nobody else begins, so a new qmail-send never sees them carried out. The
 * lock lasts as long as this process.
 */
static bool
await_predecessor(void)
{
	int fd = open("pid", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return false;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		struct pollfd request = {.fd = 0};

		/* Our own qmail-send may be gone again, since another one runs. */
		if (errno != EWOULDBLOCK || poll(&request, 1, 20) > 0)
			return false;
	}
	return true;
}

int
main(void)
{
	char in_buffer[1024], out_buffer[64];
	struct str request = STR_INIT;
	struct out out;
	struct in in;

	process_closed();
	/* It ends with qmail-send, and not before: what that has done is told of nowhere else. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (!home_enter() || chdir("queue") < 0 || !await_predecessor())
		return 111;
	in_fd(&in, 0, in_buffer, sizeof in_buffer);
	out_fd(&out, 1, out_buffer, sizeof out_buffer);
	while (in_line(&in, &request, 0, REQUEST_MAX) == IN_LINE_OK) {
		size_t more;

		out_char(&out, serve(&request) ? CLEAN_DONE : CLEAN_FAILED);
		in_peek(&in, &more);
		if (!more && !out_flush(&out))
			return 111;
	}
	str_free(&request);
	return 0;
}
