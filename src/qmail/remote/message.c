/* The message on descriptor 0: see message.h. */
#include "remote/message.h"

#include "remote/encode.h"

#include <errno.h>
#include <unistd.h>

bool
message_inspect(struct message *message)
{
	struct encoder encoder = ENCODER_INIT;
	off_t start = lseek(0, 0, SEEK_CUR);
	char buffer[16384];
	ssize_t got;

	*message = (struct message){0};
	if (start < 0)
		return true;
	while ((got = fd_read(0, buffer, sizeof buffer)) > 0)
		encode(&encoder, NULL, buffer, (size_t)got);
	if (got < 0 || lseek(0, start, SEEK_SET) < 0)
		return false;
	encode_end(&encoder, NULL);
	message->known = true;
	message->size = encoder.put;
	message->eight_bit = encoder.eight_bit;
	return true;
}

enum message_sent
message_send(struct out *out)
{
	struct encoder encoder = ENCODER_INIT;
	struct str data = STR_INIT;
	char buffer[16384];
	ssize_t got;

	while ((got = fd_read(0, buffer, sizeof buffer)) > 0 && !out->failed) {
		str_clear(&data);
		encode(&encoder, &data, buffer, (size_t)got);
		out_str(out, &data);
	}
	if (got == 0) {
		str_clear(&data);
		encode_end(&encoder, &data);
		str_add(&data, ".\r\n");
		out_str(out, &data);
	}
	str_free(&data);
	if (got < 0)
		return MESSAGE_UNREADABLE;
	return out->failed ? MESSAGE_UNWRITTEN : MESSAGE_WRITTEN;
}
