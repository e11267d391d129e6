/* The text behind DATA: see data.h. */
#include "smtpd/data.h"

#include "lib/addr.h"

#include <string.h>

void
data_start(struct data *data)
{
	*data = (struct data){.state = DATA_LINE_START};
}

static void
count_line(struct data *data, size_t more)
{
	data->line += more;
	if (data->line > data->longest)
		data->longest = data->line;
}

/* Copies what is neither CR nor LF; how many bytes that were. */
static size_t
copy_text(struct data *data, const char *bytes, size_t len, char *out)
{
	const char *stop = memchr(bytes, '\r', len);
	size_t run = stop ? (size_t)(stop - bytes) : len;

	stop = memchr(bytes, '\n', run);
	if (stop)
		run = (size_t)(stop - bytes);
	memcpy(out, bytes, run);
	count_line(data, run);
	return run;
}

static enum data_verdict
step(struct data *data, char byte, char *out, size_t *out_len)
{
	if (data->state == DATA_CR || data->state == DATA_DOT_CR) {
		if (byte != '\n')
			return DATA_BARE_CR;
		if (data->state == DATA_DOT_CR)
			return DATA_END;
		out[(*out_len)++] = '\n';
		data->state = DATA_LINE_START;
		data->line = 0;
		return DATA_MORE;
	}
	if (byte == '\n')
		return DATA_BARE_LF;
	if (byte == '\r') {
		data->state = data->state == DATA_DOT ? DATA_DOT_CR : DATA_CR;
		return DATA_MORE;
	}
	if (byte == '.' && data->state == DATA_LINE_START) {
		data->state = DATA_DOT;
		return DATA_MORE;
	}
	out[(*out_len)++] = byte;
	count_line(data, 1);
	data->state = DATA_TEXT;
	return DATA_MORE;
}

enum data_verdict
data_decode(
    struct data *data, const char *bytes, size_t len, size_t *used, char *out, size_t *out_len)
{
	enum data_verdict verdict = DATA_MORE;
	size_t at = 0;

	*out_len = 0;
	while (at < len && verdict == DATA_MORE) {
		if (data->state == DATA_TEXT) {
			size_t run = copy_text(data, bytes + at, len - at, out + *out_len);

			*out_len += run;
			at += run;
			if (at == len)
				break;
		}
		verdict = step(data, bytes[at], out, out_len);
		at++;
	}
	*used = at;
	return verdict;
}

void
hops_start(struct hops *hops)
{
	*hops = (struct hops){
	    .received = true,
	    .delivered = true,
	    .address = STR_INIT,
	    .addresses = STR_INIT,
	};
}

void
hops_free(struct hops *hops)
{
	str_free(&hops->address);
	str_free(&hops->addresses);
}

static bool
matches(const char *name, size_t column, char byte)
{
	char lower = byte >= 'A' && byte <= 'Z' ? (char)(byte + 32) : byte;

	return column < strlen(name) && name[column] == lower;
}

static void
end_line(struct hops *hops)
{
	str_trim_end(&hops->address);
	/* A longer one is nobody's here. */
	if (hops->address.len && hops->address.len <= ADDR_MAX)
		str_add_bytes(&hops->addresses, hops->address.s, hops->address.len + 1);
	str_clear(&hops->address);
	hops->body = hops->column == 0;
	hops->column = 0;
	hops->received = hops->delivered = true;
}

void
hops_scan(struct hops *hops, const char *bytes, size_t len)
{
	static const char received[] = "received:", delivered[] = "delivered-to:";
	const size_t received_len = sizeof received - 1, delivered_len = sizeof delivered - 1;
	size_t at;

	for (at = 0; at < len && !hops->body; at++) {
		char byte = bytes[at];

		if (byte == '\n') {
			end_line(hops);
			continue;
		}
		hops->received = hops->received && matches(received, hops->column, byte);
		if (hops->column < delivered_len)
			hops->delivered = hops->delivered && matches(delivered, hops->column, byte);
		else if (hops->delivered && hops->address.len <= ADDR_MAX &&
			 (hops->address.len || (byte != ' ' && byte != '\t')))
			str_add_char(&hops->address, byte);
		hops->column++;
		if (hops->received && hops->column == received_len)
			hops->count++;
		if (hops->delivered && hops->column == delivered_len)
			hops->count++;
	}
}
