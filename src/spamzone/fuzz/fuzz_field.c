/*
 * Fuzz target for field.c and sample.c. Besides memory errors it finds a spam field that survives
 * the stripping, a difference between one piece and many, a sample that is too large, and a verdict
 * that isn't the one that it was made under another threshold.
 */
#include "field.h"
#include "sample.h"
#include "threshold.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct strip whole = {0}, pieces = {0};
	struct bytes a = {0}, b = {0}, fields = {0}, marked = {0}, some = {0};
	struct bytes anew = {0};
	struct verdict verdict;
	size_t i;

	strip_feed(&whole, text, size, &a);
	strip_finish(&whole, &a);
	for (i = 0; i < size; i++)
		strip_feed(&pieces, text + i, 1, &b);
	strip_finish(&pieces, &b);
	if (a.length != b.length || (a.length && memcmp(a.at, b.at, a.length)) || a.length > size)
		abort();
	take_spam_fields(a.at, a.length, &fields);
	if (fields.length)
		abort();
	take_spam_fields(text, size, &fields);
	read_verdict(fields.at, fields.length, &verdict);
	read_verdict(text, size, &verdict);
	mark_subject(a.at, a.length, "[SPAM] ", &marked);
	sample(text, size, size / 2, &some);
	if (some.length > size / 2 + 16384)
		abort();
	if (read_verdict(fields.at, fields.length, &verdict)) {
		const bool spam = size % 2;
		struct verdict other = {0};

		rejudge_fields(&fields, spam, "4.25", &anew);
		if (!read_verdict(anew.at, anew.length, &other) || other.spam != spam ||
		    other.required != 4250 || other.score != verdict.score ||
		    strcmp(other.rules, verdict.rules))
			abort();
	}
	free(anew.at);
	free(some.at);
	free(a.at);
	free(b.at);
	free(fields.at);
	free(marked.at);
	return 0;
}
