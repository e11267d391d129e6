/* Runs a fuzz target once over each file named on the command line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
main(int count, char **names)
{
	static uint8_t data[1 << 20];
	int i;

	for (i = 1; i < count; i++) {
		FILE *file = fopen(names[i], "rb");

		if (!file) {
			perror(names[i]);
			return 1;
		}
		LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
		fclose(file);
	}
	printf("replay: %d passed, 0 failed\n", count - 1);
	return 0;
}
