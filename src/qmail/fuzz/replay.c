/*
 * replay-TARGET DIRECTORY...: runs a fuzz target once for each file of the directories, so
 * that what fuzzing has found once stays found, with any compiler.
 */
#include "fuzz/fuzz.h"
#include "lib/control.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define INPUT_MAX ((size_t)1 << 20)

static void
run(const char *path)
{
	struct str content = STR_INIT;
	uint8_t *exact;

	if (file_read(path, &content, INPUT_MAX) != CONTROL_OK) {
		fprintf(stderr, "replay: %s can't be read\n", path);
		exit(1);
	}
	/* A block of exactly this length, so that reading one byte more is noticed. */
	exact = malloc(content.len ? content.len : 1);
	MUST(exact);
	memcpy(exact, content.s, content.len);
	LLVMFuzzerTestOneInput(exact, content.len);
	free(exact);
	str_free(&content);
}

int
main(int argc, char **argv)
{
	struct str path = STR_INIT;
	unsigned long count = 0;
	int i;

	for (i = 1; i < argc; i++) {
		DIR *entries = opendir(argv[i]);
		const struct dirent *entry;

		if (!entries) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(entries))) {
			if (entry->d_name[0] == '.')
				continue;
			str_set(&path, argv[i]);
			str_add_char(&path, '/');
			str_add(&path, entry->d_name);
			run(path.s);
			count++;
		}
		closedir(entries);
	}
	str_free(&path);
	printf("%s: %lu inputs\n", argv[0], count);
	return count ? 0 : 1;
}
