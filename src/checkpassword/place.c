#include "place.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum { MAPPED_BITS = 96 };

static bool
is_ipv4(const unsigned char bytes[PLACE_BYTES])
{
	return memcmp(bytes, MAPPED, sizeof MAPPED) == 0;
}

static bool
parse_address(unsigned char bytes[PLACE_BYTES], const char *text)
{
	memcpy(bytes, MAPPED, sizeof MAPPED);
	return inet_pton(AF_INET, text, bytes + sizeof MAPPED) == 1 ||
	       inet_pton(AF_INET6, text, bytes) == 1;
}

bool
place_parse(struct place *place, const char *text)
{
	memset(place, 0, sizeof *place);
	if (!text || !parse_address(place->bytes, text)) {
		memset(place, 0, sizeof *place);
		return false;
	}
	place->known = true;
	place->address_length = is_ipv4(place->bytes) ? 16 : 8;
	place->network_length = is_ipv4(place->bytes) ? 15 : 6;
	return true;
}

/* The first length bytes as text, with the prefix where it is not a whole address. */
static void
prefix_text(const struct place *place, size_t length, char text[PLACE_TEXT_MAX])
{
	unsigned char cut[PLACE_BYTES] = {0};
	char address[INET6_ADDRSTRLEN] = "";
	const bool ipv4 = is_ipv4(place->bytes);
	const size_t bits = length * 8 - (ipv4 ? MAPPED_BITS : 0);

	if (!place->known) {
		snprintf(text, PLACE_TEXT_MAX, "an unknown address");
		return;
	}
	memcpy(cut, place->bytes, length);
	if (ipv4)
		inet_ntop(AF_INET, cut + sizeof MAPPED, address, sizeof address);
	else
		inet_ntop(AF_INET6, cut, address, sizeof address);
	if (length == PLACE_BYTES)
		snprintf(text, PLACE_TEXT_MAX, "%s", address);
	else
		snprintf(text, PLACE_TEXT_MAX, "%s/%zu", address, bits);
}

void
place_text(const struct place *place, char text[PLACE_TEXT_MAX])
{
	prefix_text(place, place->address_length, text);
}

void
place_network_text(const struct place *place, char text[PLACE_TEXT_MAX])
{
	prefix_text(place, place->network_length, text);
}

/* The first bits of left and right are equal. */
static bool
same_bits(const unsigned char *left, const unsigned char *right, unsigned bits)
{
	const unsigned char rest = (unsigned char)(0xff00 >> bits % 8);

	if (memcmp(left, right, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || ((left[bits / 8] ^ right[bits / 8]) & rest) == 0;
}

static bool
parse_bits(const char *text, unsigned most, unsigned *bits)
{
	if (strlen(text) < 1 || strlen(text) > 3 || strspn(text, "0123456789") != strlen(text))
		return false;
	*bits = (unsigned)strtoul(text, NULL, 10);
	return *bits <= most;
}

bool
network_parse(struct network *network, const char *text, size_t length)
{
	char copy[PLACE_TEXT_MAX];
	unsigned char zeros[PLACE_BYTES] = {0};
	char *slash;
	unsigned bits, before;

	if (length >= sizeof copy || memchr(text, '\0', length))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	if (!parse_address(network->bytes, copy))
		return false;
	before = strchr(copy, ':') ? 0 : MAPPED_BITS;
	bits = 128 - before;
	if (slash && !parse_bits(slash + 1, bits, &bits))
		return false;
	network->bits = before + bits;
	/* Nothing may be left when the network's own bits are taken away. */
	for (size_t i = 0; i < PLACE_BYTES; i++)
		if (i * 8 + 8 <= network->bits)
			zeros[i] = network->bytes[i];
		else if (i * 8 < network->bits)
			zeros[i] =
			    (unsigned char)(network->bytes[i] & (0xff00 >> network->bits % 8));
	return memcmp(zeros, network->bytes, PLACE_BYTES) == 0;
}

bool
network_has(const struct network *network, const struct place *place)
{
	return place->known && same_bits(network->bytes, place->bytes, network->bits);
}
