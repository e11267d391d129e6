/*
 * Internationalised domain names (RFC 5891, by libidn2): the DNS and every comparison know a name
 * with letters beyond ASCII by its A-labels, "xn--...".
 *
 * The library is loaded when the first such name comes, so that no other program run pays for it.
 */
#ifndef LIB_IDN_H
#define LIB_IDN_H

#include "lib/list.h"

#include <stdbool.h>

enum idn {
	IDN_OK,
	IDN_INVALID,    /* no name: not UTF-8, or with letters that names don't have */
	IDN_UNAVAILABLE /* libidn2 can't be loaded */
};

bool idn_is_ascii(const char *text);
bool idn_list_is_ascii(const struct list *list); /* every item of it */
/* Puts the name into to, as A-labels; what is ASCII already is taken as it is. */
enum idn idn_to_ascii(struct str *to, const char *name);
/* The same for a name that isn't ASCII: the one part that needs the library, in a file of its own.
 * A program that becomes another one before it would need it has its own, which is IDN_UNAVAILABLE.
 */
enum idn idn_convert(struct str *to, const char *name);
/* The same for an address: its domain, the local part stays. to is left as it is where that fails.
 */
enum idn idn_address(struct str *to, const char *address);
/*
 * The same for each key of a control file: NAME, .NAME or LOCAL@NAME, up to a colon if there is
 * one. What is no name stays as it is.
 */
void idn_keys(struct list *list);
/* Whether a list has a key with an A-label, so that other spellings of it may be asked for. */
bool idn_in_list(const struct list *list);

#endif
