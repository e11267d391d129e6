/* Envelope files: see record.h. */
#include "queue/record.h"

#include "lib/queuefs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum record
record_read(struct in *in, struct str *record)
{
	switch (in_line(in, record, 0, RECORD_MAX)) {
	case IN_LINE_OK: break;
	case IN_LINE_ERROR: return RECORD_ERROR;
	case IN_LINE_PARTIAL:
		if (!record->len)
			return RECORD_END;
		/* fall through */
	default: errno = EBADMSG; return RECORD_ERROR;
	}
	if (record->len)
		return RECORD_OK;
	errno = EBADMSG;
	return RECORD_ERROR;
}

void
record_write(struct out *out, char letter, const struct str *text)
{
	out_char(out, letter);
	out_str(out, text);
	out_char(out, 0);
}

bool
record_sender(unsigned long id, struct str *sender)
{
	struct str path = STR_INIT, record = STR_INIT;
	char buffer[RECORD_MAX];
	struct in in;
	bool found = false;
	int fd;

	queue_split_path(&path, "info", id);
	fd = open(path.s, O_RDONLY | O_CLOEXEC);
	str_free(&path);
	if (fd < 0)
		return false;
	in_fd(&in, fd, buffer, sizeof buffer);
	switch (record_read(&in, &record)) {
	case RECORD_OK:
		found = record.s[0] == 'F';
		if (found)
			str_set_bytes(sender, record.s + 1, record.len - 1);
		else
			errno = EBADMSG;
		break;
	case RECORD_END: errno = EBADMSG; break;
	case RECORD_ERROR: break;
	}
	str_free(&record);
	close(fd);
	return found;
}
