/*
 * Where a client is: its address, as a door has told it in TCPREMOTEIP, and the networks of the
 * configuration.
 */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	PLACE_BYTES = 16,
	PLACE_TEXT_MAX = 64,
};

/* An address of IPv4 is mapped into IPv6 (::ffff:0:0/96). Of an IPv6 address the first 64 bits
   count as the address, since whoever has one has all of those, and 48 as its network; of IPv4 32
   and 24. A place that isn't known is one of its own. */
struct place {
	bool known;
	unsigned char bytes[PLACE_BYTES];
	size_t address_length; /* in bytes, from the front; 0 where nothing is known */
	size_t network_length;
};

/* Reads an address; NULL or what is no address becomes the unknown place, with false. */
bool place_parse(struct place *place, const char *text);

/* Writes the address as it counts: "192.0.2.7", "2001:db8:1:2::/64", "an unknown address". */
void place_text(const struct place *place, char text[PLACE_TEXT_MAX]);
/* ... and its network: "192.0.2.0/24", "2001:db8:1::/48". */
void place_network_text(const struct place *place, char text[PLACE_TEXT_MAX]);

struct network {
	unsigned char bytes[PLACE_BYTES];
	unsigned bits; /* of 128 */
};

/* Reads text[0..length): ADDRESS or ADDRESS/BITS. False if it is neither, or has bits behind BITS.
 */
bool network_parse(struct network *network, const char *text, size_t length);

bool network_has(const struct network *network, const struct place *place);

#endif
