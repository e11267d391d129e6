/* Unit tests: each parser and each rule on its own, in the process, under the sanitizers. */
#include "config.h"
#include "failures.h"
#include "logins.h"
#include "place.h"
#include "request.h"
#include "shadow.h"
#include "trusted.h"
#include "verify.h"
#include <crypt.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TODAY = 20000 };

static int passed;
static int failed;

static void __attribute__((format(printf, 2, 3))) expect(bool truth, const char *format, ...)
{
	va_list arguments;

	if (truth) {
		passed++;
		return;
	}
	failed++;
	va_start(arguments, format);
	fputs("FAILED: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

/* --- requests --- */

#define PARSE(text) parse(text, sizeof(text) - 1)

static struct request request;

static enum request_status
parse(const char *bytes, size_t length)
{
	memset(&request, 'x', sizeof request);
	memcpy(request.bytes, bytes, length);
	request.length = length;
	return request_parse(&request);
}

static void
test_request(void)
{
	static const char full[REQUEST_MAX + 1];

	expect(PARSE("alice\0secret\0stamp\0") == REQUEST_OK, "the documented form is taken");
	expect(strcmp(request.user, "alice") == 0, "the user is the first field");
	expect(strcmp(request.password, "secret") == 0, "the password is the second field");
	expect(PARSE("alice\0secret\0\0") == REQUEST_OK, "the timestamp may be empty");
	expect(PARSE("\0\0\0") == REQUEST_OK, "all fields may be empty");
	expect(PARSE("a\0b\0c\0more data\0and more") == REQUEST_OK, "more data may follow");
	expect(PARSE("") == REQUEST_MALFORMED, "nothing at all is malformed");
	expect(PARSE("alice") == REQUEST_MALFORMED, "no NUL is malformed");
	expect(PARSE("alice\0secret\0") == REQUEST_MALFORMED, "two NULs are malformed");
	expect(
	    PARSE("alice\0secret\0stamp") == REQUEST_MALFORMED, "an open timestamp is malformed");
	expect(!request.user && !request.password, "nothing is pointed at then");
	expect(parse(full, REQUEST_MAX) == REQUEST_OK, "512 bytes are taken");
	expect(parse(full, REQUEST_MAX + 1) == REQUEST_TOO_LONG, "513 bytes are too long");
}

static void
test_request_read(void)
{
	static const char zero[sizeof request];
	int ends[2];

	if (pipe(ends) < 0)
		abort();
	expect(write(ends[1], "a\0b", 3) == 3, "write");
	expect(write(ends[1], "b\0c\0", 4) == 4, "write");
	close(ends[1]);
	expect(request_read(&request, ends[0]) == REQUEST_OK, "the parts of a request are joined");
	expect(strcmp(request.password, "bb") == 0, "joined in order");
	expect(fcntl(ends[0], F_GETFD) < 0, "the descriptor is closed");
	request_wipe(&request);
	expect(memcmp(&request, zero, sizeof request) == 0, "a wiped request is all zero");
	expect(request_read(&request, ends[0]) == REQUEST_NOT_OPEN, "a closed descriptor is told");
}

/* --- shadow lines --- */

static bool
parse_entry(const char *text, struct shadow_entry *entry)
{
	static char line[SHADOW_LINE_MAX];

	strcpy(line, text);
	return shadow_parse(line, strlen(line), entry);
}

static void
test_shadow_lines(void)
{
	static const struct {
		const char *line;
		bool valid;
	} cases[] = {
	    {"alice:$6$x$y:19000:0:99999:7:::", true},
	    {"alice:$6$x$y", true},
	    {"alice:", true},
	    {"alice:!:19000:0:99999:7:-1:-1:", true},
	    {"", false},
	    {"alice", false},
	    {":$6$x$y:19000::::::", false},
	    {"# a comment: with colons", false},
	    {"alice:x:1:2:3:4:5:6:7:8", false},
	    {"alice:x:soon::::::", false},
	    {"alice:x: 1::::::", false},
	    {"alice:x:-2::::::", false},
	    {"alice:x:1::::::1e3:", false},
	    {"alice:x:100000000::::::", false},
	    {"alice:x:99999999::::::", true},
	    {"alice:x:18446744073709551617::::::", false},
	};
	struct shadow_entry entry;
	char nul[] = "al\0ce:x:1::::::";

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect(parse_entry(cases[i].line, &entry) == cases[i].valid, "shadow line \"%s\"",
		    cases[i].line);
	expect(!shadow_parse(nul, sizeof nul - 1, &entry), "a NUL is not part of an entry");
}

static void
test_shadow_dates(void)
{
	static const struct {
		const char *numbers; /* last change:min:max:warn:inactive:expiry */
		bool current;
	} cases[] = {
	    {":::::", true},
	    {"19000:0:99999:7::", true},
	    {"0:0:99999:7::", false},          /* a change is ordered */
	    {"19990:0:10:7::", true},          /* 19990 + 10 is today */
	    {"19989:0:10:7::", false},         /* was yesterday */
	    {"19989:0:10:7:1:", true},         /* ... with a day of grace */
	    {"19988:0:10:7:1:", false},        /* ... which is over */
	    {"19989:0:10:7:0:", false},        /* no grace */
	    {":0:10:7:0:", true},              /* no date of change: no ageing */
	    {"19000:0::7:0:", true},           /* no maximum: no ageing */
	    {"19000:0:99999:7::20001", true},  /* expires tomorrow */
	    {"19000:0:99999:7::20000", false}, /* expires today */
	    {"19000:0:99999:7::0", false},
	    {"19000:0:99999:7::-1", true},
	    {"99999999:99999999:99999999:99999999:99999999:99999999", true},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct shadow_entry entry;
		char line[256];

		snprintf(line, sizeof line, "alice:$6$x$y:%s:", cases[i].numbers);
		expect(
		    parse_entry(line, &entry) && shadow_current(&entry, TODAY) == cases[i].current,
		    "dates \"%s\" on day %d", cases[i].numbers, TODAY);
	}
}

static void
test_usable_hashes(void)
{
	static const char *const never[] = {
	    "", "*", "!", "!!", "!$6$x$y", "*LK*", "x", "$", "$99$x$y"};

	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		expect(!shadow_hash_usable(never[i]), "hash field \"%s\" is not usable", never[i]);
	expect(shadow_hash_usable("$6$salt$x"), "sha512crypt is usable");
	expect(shadow_hash_usable("$y$j9T$salt$x"), "yescrypt is usable");
}

/* --- looking up --- */

static struct shadow_answer answer;
static const struct shadow_password *const first = answer.passwords;
static const char *service = "";

static bool
find_in(const char *text, size_t length, const char *user)
{
	int fd = memfd_create("shadow", MFD_CLOEXEC);
	bool read_well;

	if (fd < 0 || write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	read_well = shadow_find(fd, user, service, TODAY, &answer);
	close(fd);
	return read_well;
}

static bool
found(const char *text, const char *user)
{
	return find_in(text, strlen(text), user) && first->usable;
}

static void
test_find(void)
{
	static const char two[] = "alice:$6$a$1:::::::\nbob:$6$b$2:::::::\n";
	static char huge[3 * SHADOW_LINE_MAX];

	expect(found(two, "bob") && strcmp(first->hash, "$6$b$2") == 0, "an entry is found");
	expect(!found(two, "bo") && !answer.known, "a beginning of a name is not the name");
	expect(!found(two, "bob:$6$b$2") && !answer.known, "no name has a colon");
	expect(!found(two, "BOB"), "case matters");
	expect(!found(two, ""), "the empty name is nobody's");
	expect(found("alice:$6$a$1", "alice"), "the last line needs no newline");
	expect(!found("alice:!:\nalice:$6$a$1:\n", "alice") && answer.known,
	    "the first entry of a name counts");
	expect(!found("alice:$6$a$1:1:0:1:::1:\n", "alice") && strcmp(first->owner, "alice") == 0,
	    "an expired account keeps its own work");
	expect(!found("", "alice") && !*first->hash, "an empty file knows no hash");

	/* A line too long is one line: what follows its 1024th byte begins no entry. */
	memset(huge, 'x', sizeof huge - 1);
	memcpy(huge + SHADOW_LINE_MAX - 1, "alice:$6$a$1:::::::", 19);
	expect(!found(huge, "alice") && !answer.known, "a long line is not split");
	huge[sizeof huge - 30] = '\0';
	strcat(huge, "\nbob:$6$b$2:::::::\n");
	expect(found(huge, "bob"), "the line after a long one counts");
	expect(find_in("bob\0:$6$b$2:\nalice:$6$a$1:\n", 27, "bob") && !answer.known,
	    "a NUL ends no name");

	expect(!shadow_find(-1, "alice", "", TODAY, &answer) && !*first->hash,
	    "a failed read is told");
}

static void
test_stand_ins(void)
{
	static const char mixed[] =
	    "root:*:::::::\na:$6$a$1:::::::\nb:$y$j9T$b$2:::::::\nc:!:::::::\n"
	    "d:$6$d$3:::::::\ne::::::::\nf:$5$f$4:::::::\n";
	int of_method[3] = {0};
	char chosen[SHADOW_LINE_MAX];

	for (int i = 0; i < 400; i++) {
		char name[24];
		snprintf(name, sizeof name, "nobody%d", i);
		found(mixed, name);
		if (strncmp(first->hash, "$6$", 3) == 0)
			of_method[0]++;
		else if (strncmp(first->hash, "$y$", 3) == 0)
			of_method[1]++;
		else if (strncmp(first->hash, "$5$", 3) == 0)
			of_method[2]++;
		expect(!first->usable && !answer.known, "a stand-in is no account");
	}
	expect(of_method[0] + of_method[1] + of_method[2] == 400, "a stand-in is always found");
	expect(of_method[0] > 140 && of_method[0] < 260,
	    "half of the hashes: half of the names (%d)", of_method[0]);
	expect(of_method[1] > 55 && of_method[1] < 150, "a quarter: a quarter (%d)", of_method[1]);
	found(mixed, "nobody");
	strcpy(chosen, first->hash);
	found(mixed, "nobody");
	expect(strcmp(chosen, first->hash) == 0, "a name keeps its stand-in");
	found(mixed, "c");
	expect(
	    answer.known && !first->usable && *first->hash == '$', "a locked account has one too");
}

/* How many of the answer's hashes are the user's and usable; each is looked at. */
static size_t
usable(const char *text, const char *user, const char *at)
{
	size_t count = 0;

	service = at;
	found(text, user);
	service = "";
	for (size_t i = 0; i < answer.count; i++) {
		expect(*answer.passwords[i].hash, "%s: there is a hash to compute", user);
		count += answer.passwords[i].usable;
	}
	return count;
}

static void
test_devices(void)
{
	static const char site[] =
	    "carol:$6$a$1:::::::\ncarol/phone:$6$b$2::::::20001:\n"
	    "carol/old:$6$c$3::::::20000:\ncarol/fetch:$6$d$4:::::::pop3,imap\n"
	    "dave/pad:$6$e$5:::::::smtp\nerin:!:::::::\nerin/pad:$6$g$7:::::::\n"
	    "dave/late:$6$f$6:::::::\n";
	static char many[4096], line[64];

	expect(usable(site, "carol", "smtp") == 2 && answer.count == 4, "own password and phone");
	expect(usable(site, "carol", "imap") == 3, "and the one for a service");
	expect(usable(site, "carol", "pop") == 2, "a beginning is no service");
	expect(usable(site, "carol", "") == 2, "no service is none of them");
	expect(strcmp(answer.passwords[1].owner, "carol/phone") == 0, "each says whose it is");
	expect(!answer.passwords[2].usable && strcmp(answer.passwords[2].hash, "$6$c$3") == 0,
	    "an expired one keeps its own work");
	expect(usable(site, "dave", "smtp") == 2, "entries that don't stand together count");
	expect(usable(site, "erin", "smtp") == 1, "a device is not locked with the account");
	expect(usable(site, "frank", "smtp") == 0 && !answer.known && answer.count == 4,
	    "an unknown name takes the same work");
	expect(usable(site, "carol/phone", "smtp") == 0 && !answer.known && answer.count == 4,
	    "a device is no user");
	expect(usable(site, "carol/", "smtp") == 0 && usable(site, "/phone", "smtp") == 0 &&
		   usable(site, "", "smtp") == 0,
	    "nor is a part of its name");
	expect(usable("a:$6$a$1:\nb:$6$b$2:\na/x:$6$c$3:\n", "a", "") == 2,
	    "also where no user's entries stand together");
	expect(
	    usable("b:$6$b$2:\na/x:!:\na/x:$6$a$1:\n", "a", "") == 0, "the first of a name counts");
	expect(usable("a/x:$6$a$1:\nab/x:$6$a$1:\n", "a", "") == 1 && answer.count == 1,
	    "a longer name is another user's");
	for (int i = 0; i < 12; i++) {
		snprintf(line, sizeof line, "%s/d%d:$6$a$%d:\n", "greedy", i, i);
		strcat(many, line);
	}
	strcat(many, "greedy:$6$a$x:\nmodest:$6$a$y:\n");
	expect(usable(many, "greedy", "") == SHADOW_PASSWORDS_MAX, "there is a limit for each");
	expect(usable(many, "modest", "") == 1 && answer.count == SHADOW_PASSWORDS_MAX,
	    "and for the work");
}

static void
test_services(void)
{
	expect(shadow_serves("", "smtp") && shadow_serves("", ""), "an empty list has all");
	expect(shadow_serves("smtp", "smtp") && shadow_serves("pop3,smtp", "smtp") &&
		   shadow_serves("pop3,smtp,imap", "smtp"),
	    "one of the list");
	expect(!shadow_serves("smtps", "smtp") && !shadow_serves("smt", "smtp") &&
		   !shadow_serves("pop3 smtp", "smtp") && !shadow_serves(",", "smtp"),
	    "no part of one");
	expect(!shadow_serves("smtp", "") && !shadow_serves(",", ""), "none is not any");
	expect(!shadow_serves("smtp,pop3", "smtp,pop3"), "a list is none");
}

/* --- log-ins --- */

static bool
parses(const char *value, size_t length)
{
	struct login login;
	char *exact = malloc(length ? length : 1); /* so that a byte too far is noticed */
	bool valid;

	if (!exact)
		abort();
	memcpy(exact, value, length);
	valid = logins_parse(exact, length, &login);
	free(exact);
	return valid;
}

#define PARSES(text) parses(text, sizeof(text) - 1)

static void
test_logins(void)
{
	static char file[2048 + 16];
	struct login login;
	int fd = memfd_create("logins", MFD_CLOEXEC);

	expect(logins_parse("carol\000200001\000200002\000/srv/mail/carol\0", 36, &login) &&
		   strcmp(login.mailbox, "carol") == 0 && login.uid == 200001 &&
		   login.gid == 200002 && strcmp(login.home, "/srv/mail/carol") == 0 &&
		   login.until == LOGINS_NO_END,
	    "the four are taken");
	expect(
	    logins_parse("carol\0001\0001\0/x\0until 20784\0", 25, &login) && login.until == 20784,
	    "and the last day");
	expect(PARSES("c\0001\0001\0/x\0until 0\0") && !PARSES("c\0001\0001\0/x\0until \0") &&
		   !PARSES("c\0001\0001\0/x\0until\0") && !PARSES("c\0001\0001\0/x\0\0") &&
		   !PARSES("c\0001\0001\0/x\0until 2147483648\0") &&
		   !PARSES("c\0001\0001\0/x\0until 1\0\0") && !PARSES("c\0001\0001\0/x\0until 1"),
	    "what is no last day");
	expect(PARSES("info@example.net\0001\0001\0/\0"), "a mailbox may be an address");
	expect(!PARSES("carol\0000\0001\0/x\0") && !PARSES("carol\0001\0000\0/x\0"), "root's ids");
	expect(!PARSES("carol\0\0001\0/x\0"), "no uid");
	expect(!PARSES("carol\0-1\0001\0/x\0") && !PARSES("carol\0004294967296\0001\0/x\0") &&
		   !PARSES("carol\0002147483648\0001\0/x\0") && !PARSES("carol\0001x\0001\0/x\0"),
	    "what is no id");
	expect(!PARSES("\0001\0001\0/x\0"), "no mailbox");
	expect(!PARSES("carol/phone\0001\0001\0/x\0") && !PARSES("ca:rol\0001\0001\0/x\0") &&
		   !PARSES("ca rol\0001\0001\0/x\0") && !PARSES("ca\nrol\0001\0001\0/x\0"),
	    "no name of the password database");
	expect(!PARSES("carol\0001\0001\0x\0") && !PARSES("carol\0001\0001\0\0"), "no path");
	expect(!PARSES("carol\0001\0001\0/x"), "the last NUL is missing");
	expect(!PARSES("carol\0001\0001\0/x\0x"), "more behind it");
	expect(!PARSES(""), "nothing");

	expect(logins_find(-1, "carol", &login) == LOGINS_NONE, "no database has nobody");
	if (fd < 0 || write(fd, file, 100) != 100)
		abort();
	expect(logins_find(fd, "carol", &login) == LOGINS_BROKEN, "too short a file");
	if (pwrite(fd, file, sizeof file, 0) != sizeof file)
		abort();
	expect(logins_find(fd, "carol", &login) == LOGINS_NONE, "empty tables have nobody");
	memset(file, 0xff, sizeof file);
	if (pwrite(fd, file, sizeof file, 0) != sizeof file)
		abort();
	expect(logins_find(fd, "carol", &login) == LOGINS_BROKEN, "a table outside of the file");
	memset(file, 'x', 300);
	file[300] = '\0';
	expect(logins_find(fd, file, &login) == LOGINS_NONE, "a name that is too long");
	close(fd);
}

/* --- hashes --- */

static void
test_verify(void)
{
	static const char *const prefixes[] = {"$y$", "$gy$", "$7$", "$6$", "$5$", "$2b$"};
	static const char *const never[] = {"", "*", "!", "*0", "*1", "x", "xx", "$", "$6$",
	    "$6$salt$", "$y$j9T$salt$", "$2b$05$short", "$99$x$y"};
	struct crypt_data data;
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	char longer[CRYPT_OUTPUT_SIZE + 1];
	char most[CRYPT_MAX_PASSPHRASE_SIZE + 8];

	memset(&data, 0, sizeof data);
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		const char *hash;
		if (!crypt_gensalt_rn(prefixes[i], 1, NULL, 0, setting, sizeof setting) &&
		    !crypt_gensalt_rn(prefixes[i], 0, NULL, 0, setting, sizeof setting) &&
		    !crypt_gensalt_rn(prefixes[i], 5, NULL, 0, setting, sizeof setting)) {
			expect(false, "%s: no setting", prefixes[i]);
			continue;
		}
		hash = crypt_r("correct horse", setting, &data);
		expect(verify("correct horse", hash) == VERIFY_MATCH, "%s matches", prefixes[i]);
		expect(
		    verify("correct hors", hash) == VERIFY_DIFFERS, "%s: too short", prefixes[i]);
		expect(
		    verify("correct horse ", hash) == VERIFY_DIFFERS, "%s: too long", prefixes[i]);
		expect(verify("", hash) == VERIFY_DIFFERS, "%s: empty", prefixes[i]);
		snprintf(longer, sizeof longer, "%sx", hash);
		expect(verify("correct horse", longer) == VERIFY_DIFFERS, "%s: more after the hash",
		    prefixes[i]);
		strcpy(longer, hash);
		longer[strlen(longer) - 1] = '\0';
		expect(
		    verify("correct horse", longer) == VERIFY_DIFFERS, "%s: cut off", prefixes[i]);
	}
	for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
		expect(verify("secret", never[i]) == VERIFY_DIFFERS, "\"%s\" matches nothing",
		    never[i]);
		expect(verify(never[i], never[i]) == VERIFY_DIFFERS, "not even \"%s\"", never[i]);
	}
	strcpy(longer, crypt_r("", "$6$salt$", &data));
	expect(
	    verify("", longer) == VERIFY_DIFFERS, "the hash of the empty password matches nothing");
	memset(most, 'p', sizeof most - 1);
	most[sizeof most - 1] = '\0';
	expect(verify(most, longer) == VERIFY_TROUBLE, "a password longer than crypt takes");
}

/* --- configuration --- */

static void
test_config(void)
{
	static const struct {
		const char *text;
		const char *database; /* NULL: refused */
	} cases[] = {
	    {"database /etc/shadow\n", "/etc/shadow"},
	    {"database /etc/shadow", "/etc/shadow"},
	    {"# note\n\n\tdatabase \t /etc/qmail-shadow \t\n# end", "/etc/qmail-shadow"},
	    {"database /etc/with space\n", "/etc/with space"},
	    {"", NULL},
	    {"\n\n# only notes\n", NULL},
	    {"database\n", NULL},
	    {"database \n", NULL},
	    {"database etc/shadow\n", NULL},
	    {"database=/etc/shadow\n", NULL},
	    {"databases /etc/shadow\n", NULL},
	    {"database /etc/shadow\ndatabase /etc/other\n", NULL},
	    {"database /etc/shadow\nother /x\n", NULL},
	};
	static char over[CONFIG_PATH_MAX + 16] = "database /";
	struct config config;
	char why[256];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool valid =
		    config_parse(cases[i].text, strlen(cases[i].text), &config, why, sizeof why);
		expect(valid == (cases[i].database != NULL) &&
			   (!valid || strcmp(config.database, cases[i].database) == 0),
		    "configuration \"%s\"", cases[i].text);
	}
	static const char *const wrong[] = {"failures x\n", "failures-per-address -1\n",
	    "failures-per-address\n", "failures-per-address 1000001\n",
	    "failures-per-address 99999999999999999999999\n", "failures-per-network 1 2\n",
	    "failures-per-account 1\nfailures-per-account 1\n", "failures-seconds 0\n",
	    "failures-trust soon\n", "failures-except 192.0.2.1/24\n",
	    "failures-except 192.0.2.0/33\n", "failures-except localhost\n", "failures-except\n"};
	char text[256];
	struct place place;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		snprintf(text, sizeof text, "database /x\n%s", wrong[i]);
		expect(!config_parse(text, strlen(text), &config, why, sizeof why), "%s", wrong[i]);
	}
	snprintf(text, sizeof text,
	    "failures-per-address 0\nfailures /f\nfailures-seconds 60\ndatabase /x\n"
	    "failures-except 192.0.2.0/24\nfailures-except 2001:db8::/33\nfailures-except ::1");
	expect(config_parse(text, strlen(text), &config, why, sizeof why), "all settings");
	expect(strcmp(config.failures, "/f") == 0 && config.limits.address == 0 &&
		   config.limits.seconds == 60 && config.limits.account == 40,
	    "settings and defaults");
	expect(place_parse(&place, "192.0.2.9") && config_excepts(&config, &place), "excepted");
	expect(
	    place_parse(&place, "2001:db8:7fff::1") && config_excepts(&config, &place), "by /33");
	expect(place_parse(&place, "2001:db8:8000::1") && !config_excepts(&config, &place), "not");
	expect(
	    place_parse(&place, "192.0.3.9") && !config_excepts(&config, &place), "not excepted");
	expect(!place_parse(&place, NULL) && !config_excepts(&config, &place), "no place");
	memset(over + 10, 'x', CONFIG_PATH_MAX);
	expect(!config_parse(over, strlen(over), &config, why, sizeof why), "a path too long");
	expect(!config_parse("database /etc/sh\0adow\n", 22, &config, why, sizeof why), "a NUL");
}

/* --- trusted files --- */

static bool
trusted(const char *path, const char *fault)
{
	char why[1024] = "";
	int fd = trusted_open(path, why, sizeof why);

	if (fd >= 0)
		close(fd);
	return fault ? fd < 0 && strstr(why, fault) != NULL : fd >= 0;
}

static void
test_trusted(void)
{
	char top[] = "/tmp/checkpassword-XXXXXX";
	char file[64], link[64], loop[96], fifo[64], inside[96];

	if (!mkdtemp(top))
		abort();
	snprintf(file, sizeof file, "%s/file", top);
	snprintf(link, sizeof link, "%s/link", top);
	snprintf(fifo, sizeof fifo, "%s/fifo", top);
	snprintf(loop, sizeof loop, "%s/dir/file", top);
	snprintf(inside, sizeof inside, "%s/../file", top);
	close(open(file, O_WRONLY | O_CREAT | O_EXCL, 0600));
	if (symlink(file, link) < 0 || mkfifo(fifo, 0600) < 0)
		abort();

	expect(trusted(file, NULL), "our own file is trusted");
	expect(trusted(link, "symbolic link"), "a link is not");
	expect(trusted(fifo, "not a regular file"), "a fifo is not, nor does it block");
	expect(trusted(top, "not a regular file"), "a directory is not");
	expect(trusted("file", "absolute"), "a relative path is not");
	expect(trusted("", "absolute"), "an empty path is not");
	expect(trusted("/", "plain path"), "the root is not");
	expect(trusted(inside, "plain path"), "dots are not");
	expect(trusted("//etc/passwd", "plain path"), "empty parts are not");
	expect(trusted("/etc/passwd/", "plain path") || trusted("/etc/passwd/", "directory"),
	    "a slash at the end is not");
	expect(trusted("/nonexistent/file", "No such file"), "a missing file is told");
	chmod(file, 0620);
	expect(trusted(file, "writable"), "writable by the group");
	chmod(file, 0602);
	expect(trusted(file, "writable"), "writable by others");
	chmod(file, 0644);
	expect(trusted(file, NULL), "readable by others is for the owner to judge");
	chmod(top, 0770);
	expect(trusted(file, "directory is writable"), "in a directory writable by the group");
	chmod(top, 01777);
	expect(trusted(file, NULL), "in a sticky one");
	chmod(top, 0700);
	if (geteuid() == 0) {
		expect(chown(file, 1, 0) == 0, "chown");
		expect(trusted(file, "belong to root"), "a file of somebody else's");
		expect(chown(file, 0, 0) == 0 && chown(top, 1, 0) == 0, "chown");
		expect(
		    trusted(file, "directory must belong to root"), "in somebody else's directory");
	}
	unlink(link);
	unlink(fifo);
	unlink(file);
	rmdir(top);
}

/* --- failures --- */

static const struct failures_limits LIMITS = {
    .address = 3, .network = 5, .account = 8, .seconds = 60, .trust = 600};

static struct failures_attempt attempt;

static enum failures_verdict
guess(struct failures *table, const char *user, const char *from, int64_t now)
{
	struct place place;

	place_parse(&place, from);
	return failures_charge(table, &attempt, &LIMITS, user, &place, false, now);
}

static int
guesses(struct failures *table, const char *user, const char *from, int64_t now)
{
	int allowed = 0;

	while (allowed < 100 && guess(table, user, from, now) == FAILURES_FEW)
		allowed++;
	return allowed;
}

static void
test_counts(const char *path)
{
	const int64_t now = 1800000000;
	char why[1024], name[32];
	struct failures *table = failures_open(path, why, sizeof why);
	struct failures_limits none = LIMITS;
	struct place place;

	expect(table != NULL, "a table is made: %s", why);
	if (!table)
		return;
	expect(guesses(table, "a", "192.0.2.1", now) == 3, "as many as an address may");
	expect(guess(table, "b", "192.0.2.1", now) == FAILURES_OF_ADDRESS, "for any account");
	expect(guesses(table, "b", "192.0.2.2", now) == 2, "as many as a network may");
	expect(guess(table, "b", "192.0.2.2", now) == FAILURES_OF_NETWORK, "not one more");
	expect(guess(table, "b", "192.0.2.3", now) == FAILURES_OF_NETWORK, "nor by a neighbour");
	expect(guesses(table, "a", "192.0.3.1", now) == 3, "another network");
	expect(guesses(table, "a", "2001:db8::1", now) == 2, "as many as an account may");
	expect(guess(table, "a", "198.51.100.1", now) == FAILURES_OF_ACCOUNT, "from anywhere");
	expect(guess(table, "A", "198.51.100.1", now) == FAILURES_FEW, "another account");
	expect(guesses(table, "c", "2001:db8:0:1::1", now) == 3, "an address of IPv6 is a /64");
	expect(guess(table, "d", "2001:db8:0:1:ffff::1", now) == FAILURES_OF_ADDRESS, "all of it");
	expect(guess(table, "d", "2001:db8:0:2::1", now) == FAILURES_OF_NETWORK, "network: /48");
	expect(guesses(table, "d", NULL, now) == 3, "no address is one as well");
	expect(guess(table, "e", "localhost", now) == FAILURES_OF_ADDRESS, "what is none, too");

	expect(
	    guess(table, "f", "192.0.2.1", now + 19) == FAILURES_OF_ADDRESS, "not yet forgotten");
	expect(guess(table, "f", "192.0.2.1", now + 20) == FAILURES_FEW, "one is forgotten");
	expect(guess(table, "f", "192.0.2.1", now + 20) == FAILURES_OF_ADDRESS, "only one");
	expect(guesses(table, "f", "192.0.2.1", now + 200) == 3, "all are");

	/* A right password is given back, and doesn't make up for wrong ones of others. */
	expect(guess(table, "g", "203.0.113.1", now) == FAILURES_FEW, "a try");
	failures_right(table, &attempt, &LIMITS, now);
	expect(guesses(table, "h", "203.0.113.1", now) == 3, "three others");
	for (int i = 0; i < 100; i++) {
		expect(guess(table, "g", "203.0.113.1", now) == FAILURES_FEW, "who was right, may");
		failures_right(table, &attempt, &LIMITS, now);
	}
	expect(guess(table, "h", "203.0.113.1", now) == FAILURES_OF_ADDRESS, "and nobody else");
	expect(guesses(table, "g", "203.0.113.9", now) == 2, "strangers");
	expect(guesses(table, "g", "203.0.114.9", now) == 3, "more strangers");
	expect(guesses(table, "g", "203.0.115.9", now) == 3, "all that the account may");
	expect(
	    guess(table, "g", "203.0.116.9", now) == FAILURES_OF_ACCOUNT, "locked for strangers");
	expect(guesses(table, "g", "203.0.113.1", now) == 3, "not where he was right, some times");
	expect(guess(table, "g", "203.0.113.1", now) == FAILURES_OF_ADDRESS, "but not for ever");
	expect(place_parse(&place, "203.0.113.1"), "an address");
	failures_forget_pair(table, "g", &place);
	expect(guesses(table, "g", "203.0.113.1", now) == 3, "an operator forgets it");
	expect(
	    guess(table, "g", "203.0.113.1", now + 601) == FAILURES_FEW && attempt.charged_account,
	    "trust ends");

	expect(failures_of_account(table, &LIMITS, "a", now) == 8, "the account's count");
	failures_forget_account(table, "a");
	expect(failures_of_account(table, &LIMITS, "a", now) == 0, "is forgotten");
	expect(place_parse(&place, "192.0.3.1"), "an address");
	expect(failures_of_address(table, &LIMITS, &place, now) == 3, "the address's count");
	failures_forget_place(table, &place);
	expect(failures_of_address(table, &LIMITS, &place, now) == 0 &&
		   failures_of_network(table, &LIMITS, &place, now) == 0,
	    "is forgotten with its network's");

	none.address = none.network = none.account = 0;
	for (int i = 0; i < 200; i++)
		expect(failures_charge(table, &attempt, &none, "i", &place, false, now) ==
			   FAILURES_FEW,
		    "no limit");
	expect(place_parse(&place, "198.18.0.1"), "an address");
	for (int i = 0; i < 8; i++)
		expect(failures_charge(table, &attempt, &LIMITS, "j", &place, true, now) ==
			   FAILURES_FEW,
		    "excepted");
	expect(failures_charge(table, &attempt, &LIMITS, "j", &place, true, now) ==
		   FAILURES_OF_ACCOUNT,
	    "but for the account");
	/* A clock that was years ahead locks nobody out for years. */
	expect(guesses(table, "k", "198.18.5.1", now + 400000000) == 3, "in years");
	expect(guesses(table, "k", "198.18.5.1", now + 1000) == 3, "and back");

	/* A count that is full stays, however many others come. */
	expect(guesses(table, "victim", "198.18.6.1", now + 2000) == 3, "one");
	for (int i = 0; i < 200000; i++) {
		snprintf(name, sizeof name, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		guess(table, name, name, now + 2000);
	}
	expect(guess(table, "victim", "198.18.6.1", now + 2000) == FAILURES_OF_ADDRESS,
	    "a full count doesn't give way to others");
	failures_close(table);

	table = failures_open(path, why, sizeof why);
	expect(table && guess(table, "x", "198.18.6.1", now + 2000) == FAILURES_OF_ADDRESS,
	    "it outlives the process");
	if (table)
		failures_close(table);
}

static void
test_table_file(const char *path)
{
	char why[1024];
	struct failures *table;
	struct stat before, after;
	int fd;

	expect(stat(path, &before) == 0 && (before.st_mode & 07777) == 0600, "for its owner alone");
	expect(truncate(path, 100) == 0, "cut");
	table = failures_open(path, why, sizeof why);
	expect(table && stat(path, &after) == 0 && after.st_size == before.st_size &&
		   guess(table, "x", "198.18.6.1", 1800002000) == FAILURES_FEW,
	    "a file that is cut is made anew");
	if (table)
		failures_close(table);
	fd = open(path, O_WRONLY);
	expect(fd >= 0 && write(fd, "something else altogether", 25) == 25, "spoilt");
	close(fd);
	table = failures_open(path, why, sizeof why);
	expect(table != NULL, "a file of another kind is made anew: %s", why);
	if (table)
		failures_close(table);
	expect(chmod(path, 0660) == 0, "chmod");
	expect(
	    !failures_open(path, why, sizeof why) && strstr(why, "writable"), "not to be trusted");
	expect(unlink(path) == 0 && symlink("/etc/passwd", path) == 0, "a link");
	expect(!failures_open(path, why, sizeof why) && strstr(why, "symbolic link"), "no link");
	expect(unlink(path) == 0, "unlink");
}

static void
test_hash(void)
{
	static const unsigned char key[FAILURES_KEY_BYTES] = {
	    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	static const unsigned char bytes[15] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};

	/* The test vector of SipHash's paper, appendix A. */
	expect(failures_hash(key, bytes, 15) == UINT64_C(0xa129ca6149be45e5), "SipHash-2-4");
}

static void
test_failures(void)
{
	char top[] = "/tmp/checkpassword-XXXXXX", path[64];

	if (!mkdtemp(top))
		abort();
	snprintf(path, sizeof path, "%s/failures", top);
	test_counts(path);
	test_table_file(path);
	expect(rmdir(top) == 0, "nothing is left behind");
}

static void
test_place_texts(void)
{
	char text[PLACE_TEXT_MAX];
	struct place place;

	place_parse(&place, "192.0.2.7");
	place_network_text(&place, text);
	expect(strcmp(text, "192.0.2.0/24") == 0, "%s", text);
	place_parse(&place, "2001:db8:1:2:3::4");
	place_text(&place, text);
	expect(strcmp(text, "2001:db8:1:2::/64") == 0, "%s", text);
	place_network_text(&place, text);
	expect(strcmp(text, "2001:db8:1::/48") == 0, "%s", text);
	place_parse(&place, "192.0.2.7\n");
	place_text(&place, text);
	expect(strcmp(text, "an unknown address") == 0, "%s", text);
}

int
main(void)
{
	test_request();
	test_request_read();
	test_shadow_lines();
	test_shadow_dates();
	test_usable_hashes();
	test_find();
	test_stand_ins();
	test_devices();
	test_services();
	test_logins();
	test_verify();
	test_config();
	test_hash();
	test_place_texts();
	test_failures();
	test_trusted();
	printf("checkpassword unit tests: %d passed, %d failed\n", passed, failed);
	return failed ? 1 : 0;
}
