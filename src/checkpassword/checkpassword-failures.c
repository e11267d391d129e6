/*
 * checkpassword-failures: shows or forgets what checkpassword counts. For root, who alone may open
 * the table; it has no privileges of its own.
 */
#include "config.h"
#include "failures.h"
#include "place.h"
#include "trusted.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef CONFIG_FILE
#define CONFIG_FILE "/etc/checkpassword.conf"
#endif

enum { WHY_MAX = 1536, FAILED = 111 };

static struct config config;
static struct failures *table;

static _Noreturn void
fail(const char *why)
{
	fprintf(stderr, "checkpassword-failures: %s\n", why);
	exit(FAILED);
}

static void
open_table(void)
{
	char why[WHY_MAX];
	int fd = trusted_open(CONFIG_FILE, why, sizeof why);

	if (fd < 0)
		fail(why);
	if (!config_read(fd, &config, why, sizeof why)) {
		fprintf(stderr, "checkpassword-failures: %s: %s\n", CONFIG_FILE, why);
		exit(FAILED);
	}
	close(fd);
	if (!*config.failures)
		fail(CONFIG_FILE " names no table of failures: none are counted");
	table = failures_open(config.failures, why, sizeof why);
	if (!table)
		fail(why);
}

static void
show_count(const char *what, unsigned long count, unsigned long limit)
{
	if (limit)
		printf("%s: %lu of %lu failures%s\n", what, count, limit,
		    count >= limit ? ", locked out" : "");
	else
		printf("%s: no limit\n", what);
}

static void
show(const char *word)
{
	const time_t now = time(NULL);
	struct place place;
	char text[PLACE_TEXT_MAX];

	if (!place_parse(&place, word)) {
		show_count(word, failures_of_account(table, &config.limits, word, now),
		    config.limits.account);
		return;
	}
	if (config_excepts(&config, &place)) {
		printf("%s: excepted, only accounts count\n", word);
		return;
	}
	place_text(&place, text);
	show_count(
	    text, failures_of_address(table, &config.limits, &place, now), config.limits.address);
	place_network_text(&place, text);
	show_count(
	    text, failures_of_network(table, &config.limits, &place, now), config.limits.network);
}

/* What the accounts of the list have failed at its places where they were right before: this counts
   by itself, so it is neither with the account nor with the place. */
static void
show_pairs(char **words)
{
	const time_t now = time(NULL);
	struct place place;
	unsigned long failed;

	for (char **word = words; *word; word++)
		for (char **other = words; *other; other++) {
			if (place_parse(&place, *word) || !place_parse(&place, *other) ||
			    !failures_of_pair(table, &config.limits, *word, &place, now, &failed))
				continue;
			printf("%s at %s, right there before: ", *word, *other);
			if (config.limits.address)
				printf("%lu of %lu failures%s\n", failed, config.limits.address,
				    failed >= config.limits.address ? ", counted like anybody"
								    : "");
			else
				printf("no limit\n");
		}
}

/* All accounts and places of the list, and what the ones have done from the others. */
static void
forget(char **words)
{
	struct place place;

	for (char **word = words; *word; word++) {
		if (place_parse(&place, *word)) {
			failures_forget_place(table, &place);
			continue;
		}
		failures_forget_account(table, *word);
		for (char **other = words; *other; other++)
			if (place_parse(&place, *other))
				failures_forget_pair(table, *word, &place);
	}
}

int
main(int argc, char **argv)
{
	if (argc < 3 || (strcmp(argv[1], "show") != 0 && strcmp(argv[1], "forget") != 0)) {
		fprintf(
		    stderr, "usage: checkpassword-failures {show|forget} ACCOUNT|ADDRESS ...\n");
		return 2;
	}
	open_table();
	if (strcmp(argv[1], "forget") == 0)
		forget(argv + 2);
	for (char **word = argv + 2; *word; word++)
		show(*word);
	show_pairs(argv + 2);
	return 0;
}
