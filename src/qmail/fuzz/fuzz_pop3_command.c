/* A POP3 command line. */
#include "fuzz/fuzz.h"
#include "pop3/command.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *line = (const char *)bytes;
	struct pop3_command command;

	pop3_parse(line, len, &command);
	MUST(command.text >= line && command.text + command.text_len <= line + len);
	MUST(command.numbers <= 2);
	return 0;
}
