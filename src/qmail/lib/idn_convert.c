/* What needs libidn2: see idn.h. */
#include "lib/idn.h"

#include <dlfcn.h>
#include <idn2.h>
#include <string.h>

#define LIBRARY "libidn2.so.0"
#define NAME_MAX_BYTES 1024 /* in UTF-8, of what has at most 255 bytes in A-labels */
#define ASCII_MAX 255

static __typeof__(idn2_lookup_u8) *look_up;
static __typeof__(idn2_free) *release;

/* A data pointer, as dlsym gives it, into a function pointer. */
static bool
find(void *library, const char *name, void *function)
{
	void *found = dlsym(library, name);

	memcpy(function, &found, sizeof found);
	return found != NULL;
}

static bool
load(void)
{
	void *library;

	if (look_up && release)
		return true;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	return library && find(library, "idn2_lookup_u8", &look_up) &&
	       find(library, "idn2_free", &release);
}

/* With the rules for host names: no letter may turn into a blank, a bracket or an at sign. */
enum idn
idn_convert(struct str *to, const char *name)
{
	unsigned char *ascii = NULL;
	bool valid;

	if (strlen(name) > NAME_MAX_BYTES)
		return IDN_INVALID;
	if (!load())
		return IDN_UNAVAILABLE;
	valid = look_up((const unsigned char *)name, &ascii,
		    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES) == IDN2_OK &&
		strlen((const char *)ascii) <= ASCII_MAX;
	if (valid)
		str_set(to, (const char *)ascii);
	if (ascii)
		release(ascii);
	return valid ? IDN_OK : IDN_INVALID;
}
