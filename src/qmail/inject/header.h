/* A message's header, split into its fields: pure functions over bytes. */
#ifndef INJECT_HEADER_H
#define INJECT_HEADER_H

#include "lib/str.h"

enum field_name {
	FIELD_OTHER,
	FIELD_AUTHENTICATION_RESULTS,
	FIELD_BCC,
	FIELD_CC,
	FIELD_CONTENT_LENGTH,
	FIELD_DATE,
	FIELD_FROM,
	FIELD_MAIL_FOLLOWUP_TO,
	FIELD_MESSAGE_ID,
	FIELD_RESENT_BCC,
	FIELD_RESENT_CC,
	FIELD_RESENT_DATE,
	FIELD_RESENT_FROM,
	FIELD_RESENT_MESSAGE_ID,
	FIELD_RESENT_TO,
	FIELD_RETURN_PATH,
	FIELD_TO,
	FIELD_OTHER_ADDRESSES, /* Sender, Reply-To, Errors-To and their kind */
	FIELD_APPARENTLY_TO,
	FIELD_RESENT_OTHER, /* Resent-Sender, Resent-Reply-To */
	FIELD_NAMES
};

struct field {
	enum field_name name;
	const char *bytes; /* the whole field, its last line break included */
	size_t len;
	size_t body; /* offset of what stands behind the colon */
};

/* The length of the field name with its colon that the line begins with; 0: it is no field. */
size_t header_name_length(const char *line, size_t len);
/* Whether a line goes on the field above it. */
bool header_is_continuation(const char *line, size_t len);
/* The field at *at, which goes behind it; false at the end, or where no field begins. */
bool header_next(const char *bytes, size_t len, size_t *at, struct field *field);

#endif
