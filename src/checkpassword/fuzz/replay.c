/* Feeds files to a fuzz target, for compilers without libFuzzer. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
main(int argc, char **argv)
{
	static uint8_t input[INPUT_MAX];

	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		size_t size;
		uint8_t *exact;

		if (!file) {
			perror(argv[i]);
			return 1;
		}
		size = fread(input, 1, sizeof input, file);
		fclose(file);
		exact = malloc(size ? size : 1); /* so that a read past the end is seen */
		if (!exact)
			return 1;
		for (size_t at = 0; at < size; at++)
			exact[at] = input[at];
		LLVMFuzzerTestOneInput(exact, size);
		free(exact);
	}
	printf("%s: %d inputs passed\n", argv[0], argc - 1);
	return 0;
}
