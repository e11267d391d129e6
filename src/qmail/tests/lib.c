/* The library's own tests: each block states one fact; the first that does not hold ends the run.
 */
#include "lib/addr.h"
#include "lib/base64.h"
#include "lib/bio.h"
#include "lib/cdbfile.h"
#include "lib/chan.h"
#include "lib/control.h"
#include "lib/list.h"
#include "lib/logword.h"
#include "lib/netip.h"
#include "lib/queuefs.h"
#include "lib/sha256.h"
#include "lib/srs.h"
#include "lib/str.h"
#include "lib/submit.h"
#include "lib/tcpto.h"
#include "lib/when.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned passed;

#define CHECK(fact) check((fact), #fact, __LINE__)

static void
check(bool holds, const char *fact, int line)
{
	if (!holds) {
		fprintf(stderr, "tests/lib.c:%d: not so: %s\n", line, fact);
		exit(1);
	}
	passed++;
}

static void
write_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	CHECK(fd >= 0 && fd_write_all(fd, bytes, len) && close(fd) == 0);
}

static void
write_text(const char *path, const char *text)
{
	write_file(path, text, strlen(text));
}

static void
strings(void)
{
	struct str a = STR_INIT;
	unsigned long number = 7;

	CHECK(a.len == 0 && a.s[0] == 0);
	str_cut(&a, 0);
	str_add(&a, "Hello ");
	str_addf(&a, "%s %d", "world", 42);
	CHECK(str_equal(&a, "Hello world 42"));
	CHECK(str_equal_nocase(&a, "hELLO WORLD 42") && !str_equal_nocase(&a, "hello"));
	CHECK(word_is("HeLlo", 5, "hello") && !word_is("hellos", 6, "hello") &&
	      !word_is("hello", 4, "hello") && !word_is("h\0llo", 5, "hello"));
	CHECK(
	    str_starts(&a, "Hello") && !str_starts(&a, "hello") && str_starts_nocase(&a, "hello"));
	CHECK(str_ends_nocase(&a, "WORLD 42") && !str_ends_nocase(&a, "x"));
	CHECK(str_find(&a, 'o') == 4 && str_rfind(&a, 'o') == 7 && str_find(&a, 'z') == a.len);
	str_set(&a, "line \t \r\n");
	str_trim_end(&a);
	CHECK(str_equal(&a, "line"));
	str_set(&a, " \n");
	str_trim_end(&a);
	CHECK(a.len == 0);
	str_add_bytes(&a, "a\0b\0", 4);
	CHECK(a.len == 4 && str_has_nul(&a) && str_replace(&a, 0, '\n') == 2 &&
	      str_equal(&a, "a\nb\n"));
	str_free(&a);

	CHECK(number_parse("0", 9, &number) && number == 0);
	CHECK(number_parse("4294967295", 4294967295UL, &number) && number == 4294967295UL);
	CHECK(!number_parse("4294967296", 4294967295UL, &number) && number == 4294967295UL);
	CHECK(!number_parse("99999999999999999999999", ~0UL, &number));
	CHECK(!number_parse("", 9, &number) && !number_parse("-1", 9, &number) &&
	      !number_parse("1 ", 9, &number));
}

static void
lists(void)
{
	struct list l = LIST_INIT;

	list_sort(&l);
	CHECK(!list_find(&l, "a") && !table_find(&l, "a"));
	list_add(&l, "example.org");
	list_add(&l, "b:one");
	list_add(&l, "B:two");
	list_add(&l, ".example.net:");
	list_add(&l, "alpha");
	list_sort(&l);
	CHECK(list_find(&l, "EXAMPLE.org") && list_find(&l, "alpha") && !list_find(&l, "alph"));
	CHECK(!strcmp(table_find(&l, "b"), "one"));
	CHECK(!strcmp(table_find(&l, ".Example.NET"), "") && !table_find(&l, "alpha"));
	list_free(&l);
}

static void
input(void)
{
	struct str line = STR_INIT;
	struct in in;
	char buffer[4];
	int ends[2];

	CHECK(pipe(ends) == 0 && fd_write_all(ends[1], "one\ntwotwotwo\n\nlast", 19));
	close(ends[1]);
	in_fd(&in, ends[0], buffer, sizeof buffer);
	CHECK(in_line(&in, &line, '\n', 100) == IN_LINE_OK && str_equal(&line, "one"));
	CHECK(in_line(&in, &line, '\n', 5) == IN_LINE_LONG && str_equal(&line, "twotw"));
	CHECK(in_line(&in, &line, '\n', 5) == IN_LINE_OK && str_equal(&line, "otwo"));
	CHECK(in_line(&in, &line, '\n', 5) == IN_LINE_OK && line.len == 0);
	CHECK(in_line(&in, &line, '\n', 5) == IN_LINE_PARTIAL && str_equal(&line, "last"));
	CHECK(in_byte(&in) == IN_END);
	close(ends[0]);
	in_fd(&in, ends[0], buffer, sizeof buffer);
	CHECK(in_line(&in, &line, '\n', 5) == IN_LINE_ERROR && in_byte(&in) == IN_ERROR);
	str_free(&line);
}

static void
output(void)
{
	struct out out;
	char buffer[4], got[32];
	int ends[2];

	CHECK(pipe(ends) == 0);
	out_fd(&out, ends[1], buffer, sizeof buffer);
	out_text(&out, "ab");
	out_number(&out, 12345);
	out_char(&out, '\n');
	CHECK(
	    out_flush(&out) && read(ends[0], got, sizeof got) == 8 && !memcmp(got, "ab12345\n", 8));
	close(ends[0]);
	out_text(&out, "x");
	CHECK(!out_flush(&out) && errno == EPIPE && !out_flush(&out));
	close(ends[1]);
}

static void
control_files(void)
{
	struct str value = STR_INIT;
	struct list lines = LIST_INIT;
	unsigned long number = 5;

	CHECK(control_line("nothing", &value) == CONTROL_ABSENT);
	CHECK(control_line_or_me("nothing", &value, NULL) == CONTROL_ABSENT);
	CHECK(control_line_or_me("nothing", &value, "x") == CONTROL_OK && str_equal(&value, "x"));
	write_text("control/me", "mail.example.org \t\nsecond\n");
	CHECK(control_line("me", &value) == CONTROL_OK && str_equal(&value, "mail.example.org"));
	CHECK(control_line_or_me("nothing", &value, "x") == CONTROL_OK &&
	      str_equal(&value, "mail.example.org"));
	CHECK(control_number("nothing", 9, &number) == CONTROL_ABSENT && number == 5);
	write_text("control/number", "12\n");
	CHECK(control_number("number", 12, &number) == CONTROL_OK && number == 12);
	CHECK(control_number("number", 11, &number) == CONTROL_ERROR && number == 12);
	write_text("control/list", "# comment\n\nA \n \nb");
	CHECK(control_list("list", &lines) == CONTROL_OK && lines.count == 2);
	list_index(&lines);
	CHECK(!strcmp(lines.items[0], "A") && !strcmp(lines.items[1], "b"));
	write_file("control/nul", "a\0b\n", 4);
	CHECK(control_line("nul", &value) == CONTROL_ERROR &&
	      control_list("nul", &lines) == CONTROL_ERROR);
	CHECK(mkdir("control/dir", 0755) == 0 && control_line("dir", &value) == CONTROL_ERROR);
	list_free(&lines);
	str_free(&value);
}

static void
addresses(void)
{
	static const struct {
		const char *inner, *outer;
	} cases[] = {{"joe@example.org", "joe@example.org"}, {"", ""}, {"postmaster", "postmaster"},
	    {"a b@c", "\"a b\"@c"}, {"a\"\\b@c", "\"a\\\"\\\\b\"@c"}, {"a@b@c", "\"a@b\"@c"},
	    {".a@c", "\".a\"@c"}, {"a..b@c", "\"a..b\"@c"}, {"@c", "\"\"@c"},
	    {"a\r\nb@c", "\"a\\\r\\\nb\"@c"}};
	struct str a = STR_INIT, b = STR_INIT;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		str_set(&a, cases[i].inner);
		str_clear(&b);
		addr_quote(&b, &a);
		CHECK(str_equal(&b, cases[i].outer));
	}
	str_clear(&b);
	add_printable(&b, "a\r\nb\0\xff~", 7, 6);
	CHECK(str_equal(&b, "a??b??"));
	str_free(&a);
	str_free(&b);

	CHECK(addr_is_bare("bob@x.test") && addr_is_bare("bob") && addr_is_bare("a+b=c/d!e#1@x"));
	CHECK(addr_is_bare("\"odd, one\"@x.test") && addr_is_bare("\"a\\\"b\"@x") &&
	      addr_is_bare("a@b@x"));
	CHECK(addr_is_bare("u@[192.0.2.1]") && addr_is_bare("u@[IPv6:::1]") &&
	      addr_is_bare("\303\274@\303\266.test"));
	CHECK(!addr_is_bare("bob@x # note") && !addr_is_bare("a@x, b@x") && !addr_is_bare("a@x,"));
	CHECK(!addr_is_bare("a@x,b@x") && !addr_is_bare("a b@x") && !addr_is_bare("bob @x"));
	CHECK(!addr_is_bare("<a@x>") && !addr_is_bare("a@x>") && !addr_is_bare("a@x(bob)") &&
	      !addr_is_bare("a@x;"));
	CHECK(!addr_is_bare("") && !addr_is_bare("@x") && !addr_is_bare("a@") &&
	      !addr_is_bare("mailto:a@x"));
	CHECK(!addr_is_bare("\"a@x") && !addr_is_bare("\"a\"b@x") && !addr_is_bare("\"\"@x") &&
	      !addr_is_bare("\"a\\"));
	CHECK(!addr_is_bare("Maildir/") && !addr_is_bare("a@x/") && !addr_is_bare("a@\tx") &&
	      !addr_is_bare("a@\177x"));
}

static void
log_words(void)
{
	struct str a = STR_INIT;
	char longer[LOG_TEXT_MAX + 1];

	memset(longer, 'x', sizeof longer);
	log_add_word(&a, "a@b.c", 5);
	CHECK(str_equal(&a, "a@b.c"));
	str_clear(&a);
	log_add_word(&a, " \"<>\\\n\0\xff", 8);
	CHECK(str_equal(&a, "\\x20\\x22\\x3c\\x3e\\x5c\\x0a\\x00\\xff"));
	str_clear(&a);
	log_add_word(&a, longer, LOG_WORD_MAX);
	CHECK(a.len == LOG_WORD_MAX);
	str_clear(&a);
	log_add_word(&a, longer, LOG_WORD_MAX + 1);
	CHECK(a.len == LOG_WORD_MAX + 4 && str_ends_nocase(&a, "x\\..."));
	str_clear(&a);
	log_add_text(&a, "no <\"\\\r\n", 8);
	CHECK(str_equal(&a, "\"no <\\x22\\x5c\\x0d\\x0a\""));
	str_clear(&a);
	log_add_text(&a, longer, sizeof longer);
	CHECK(a.len == LOG_TEXT_MAX + 6 && str_ends_nocase(&a, "x\\...\""));
	str_free(&a);
}

static void
network(void)
{
	struct netip a, b;
	struct str text = STR_INIT;

	CHECK(netip_parse("192.0.2.1", &a) && netip_is_v4(&a) &&
	      netip_parse("::ffff:192.0.2.1", &b) && netip_equal(&a, &b));
	netip_add(&text, &b);
	CHECK(str_equal(&text, "192.0.2.1"));
	CHECK(netip_parse_literal("[IPv6:2001:db8::1]", &a) && !netip_is_v4(&a));
	CHECK(netip_parse_literal("[192.0.2.1]", &a) && !netip_parse_literal("192.0.2.1", &a));
	CHECK(!netip_parse_literal("[2001:db8::1]", &a) &&
	      !netip_parse_literal("[IPv6:192.0.2.1]", &a));
	CHECK(!netip_parse_literal("[]", &a) && !netip_parse("1.2.3", &a) &&
	      !netip_parse("1.2.3.4.5", &a));
	CHECK(netip_parse("0.0.0.0", &a) && netip_is_me(&a) && netip_parse("127.9.9.9", &a) &&
	      netip_is_me(&a));
	CHECK(
	    netip_parse("::", &a) && netip_is_me(&a) && netip_parse("::1", &a) && netip_is_me(&a));
	CHECK(netip_parse("192.0.2.77", &a) && !netip_is_me(&a));
	str_free(&text);
}

static void
databases(void)
{
	struct cdb_make make;
	struct str value = STR_INIT;
	int fd = open("t.cdb", O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(cdbfile_get("none.cdb", "k", 1, &value) == CDBFILE_ABSENT);
	CHECK(cdb_make_start(&make, fd) == 0 && cdb_make_add(&make, "k", 1, "value", 5) == 0 &&
	      cdb_make_finish(&make) == 0);
	close(fd);
	CHECK(cdbfile_get("t.cdb", "k", 1, &value) == CDBFILE_FOUND && str_equal(&value, "value"));
	CHECK(cdbfile_get("t.cdb", "l", 1, NULL) == CDBFILE_ABSENT);
	write_text("bad.cdb", "short");
	CHECK(cdbfile_get("bad.cdb", "k", 1, &value) == CDBFILE_ERROR);
	str_free(&value);
}

static void
dates_and_paths(void)
{
	struct str text = STR_INIT;

	when_822(&text, 1795437441);
	CHECK(str_equal(&text, "23 Nov 2026 12:37:21 -0000"));
	queue_split_path(&text, "mess", 46);
	CHECK(str_equal(&text, "mess/0/46"));
	queue_flat_path(&text, "todo", 46);
	CHECK(str_equal(&text, "todo/46"));
	str_free(&text);
}

static void
submit_with(const char *script, struct submit_result *result)
{
	struct submission s;

	write_text("queue.sh", script);
	setenv("QMAILQUEUE", "./queue.sh", 1);
	CHECK(submit_open(&s) && submit_id(&s) > 0);
	submit_text(&s, "Subject: x\n\nbody\n");
	submit_sender(&s, "a@b");
	submit_recipient(&s, "c@d");
	submit_recipient(&s, "e@f");
	submit_close(&s, result);
}

static void
submissions(void)
{
	struct submit_result r;
	struct submission s;
	struct str content = STR_INIT;
	struct chan quiet = {.timeout = 0};
	int ends[2];
	char byte;

	submit_with("#!/bin/sh\ncat >message; cat <&1 >envelope\n", &r);
	CHECK(r.class == SUBMIT_ACCEPTED && r.code == 0);
	CHECK(file_read("message", &content, 100) == CONTROL_OK &&
	      str_equal(&content, "Subject: x\n\nbody\n"));
	CHECK(file_read("envelope", &content, 100) == CONTROL_OK && content.len == 16 &&
	      !memcmp(content.s, "Fa@b\0Tc@d\0Te@f\0\0", 16));
	submit_with("#!/bin/sh\nexit 31\n", &r);
	CHECK(r.class == SUBMIT_REFUSED && strstr(r.text, "(#5.3.0)"));
	submit_with("#!/bin/sh\nexit 120\n", &r);
	CHECK(r.class == SUBMIT_TRY_LATER && strstr(r.text, "(#4.3.0)"));
	submit_with("#!/bin/sh\nkill -9 $$\n", &r);
	CHECK(r.class == SUBMIT_TRY_LATER && r.code == -1);
	submit_with("#!/bin/sh\ncat >/dev/null; cat <&1 >/dev/null; printf 'Dspam\\001 "
		    "here\\r\\nline two' >&6; exit 82\n",
	    &r);
	CHECK(r.class == SUBMIT_REFUSED && !strcmp(r.text, "spam? here (#5.7.1)"));
	submit_with("#!/bin/sh\nprintf 'Zlater (#4.2.1)' >&6; exit 82\n", &r);
	CHECK(r.class == SUBMIT_TRY_LATER && !strcmp(r.text, "later (#4.2.1)"));
	submit_with("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' D >&6; exit 82\n", &r);
	CHECK(r.class == SUBMIT_REFUSED && strlen(r.text) < sizeof r.text);
	submit_with("#!/bin/sh\nsleep 3 & exit 31\n", &r);
	CHECK(r.class == SUBMIT_REFUSED);
	/* Accepting what was not given is not believed. */
	write_text("queue.sh", "#!/bin/sh\nexit 0\n");
	CHECK(submit_open(&s));
	submit_text(&s, "half");
	submit_fail(&s);
	submit_sender(&s, "a@b");
	submit_recipient(&s, "c@d");
	submit_close(&s, &r);
	CHECK(r.class == SUBMIT_TRY_LATER);
	setenv("QMAILQUEUE", "./not-there", 1);
	CHECK(!submit_open(&s) && errno == ENOENT);
	/* A program that is named here goes before the environment's, even where it is none. */
	CHECK(submit_open_to(&s, "./queue.sh"));
	submit_abandon(&s);
	CHECK(mkdir("bin", 0755) == 0);
	write_text("bin/qmail-queue", "#!/bin/sh\nexit 31\n");
	CHECK(submit_open_to(&s, ""));
	submit_sender(&s, "a@b");
	submit_close(&s, &r);
	CHECK(r.class == SUBMIT_REFUSED);
	CHECK(pipe(ends) == 0);
	quiet.in = ends[0];
	CHECK(chan_read(&quiet, &byte, 1) == -1 && errno == ETIMEDOUT);
	close(ends[0]);
	close(ends[1]);
	str_free(&content);
}

static void
time_outs(void)
{
	struct tcpto_entry entries[TCPTO_SLOTS];
	struct netip a, b;
	time_t now = 1800000000;
	struct stat status;
	int i;

	CHECK(netip_parse("192.0.2.1", &a) && netip_parse("2001:db8::1", &b));
	tcpto_note("tcpto", &a, true, now);
	CHECK(tcpto_read("tcpto", entries) == 0 && !tcpto_resting("tcpto", &a, now));
	write_text("tcpto", "");
	tcpto_note("tcpto", &a, true, now);
	tcpto_note("tcpto", &a, true, now + TCPTO_GAP - 1);
	CHECK(tcpto_read("tcpto", entries) == 1 && entries[0].count == 1 &&
	      entries[0].when == now && netip_equal(&entries[0].ip, &a));
	CHECK(!tcpto_resting("tcpto", &a, now));
	tcpto_note("tcpto", &a, true, now + TCPTO_GAP);
	CHECK(tcpto_resting("tcpto", &a, now + TCPTO_GAP + TCPTO_REST - 1));
	CHECK(!tcpto_resting("tcpto", &a, now + TCPTO_GAP + TCPTO_REST));
	CHECK(!tcpto_resting("tcpto", &b, now + TCPTO_GAP));
	tcpto_note("tcpto", &b, true, now);
	tcpto_note("tcpto", &a, false, now + 300);
	CHECK(tcpto_read("tcpto", entries) == 1 && netip_equal(&entries[0].ip, &b));
	for (i = 0; i < TCPTO_SLOTS; i++) {
		a.a.s6_addr[15] = (unsigned char)(100 + i);
		tcpto_note("tcpto", &a, true, now + 1 + i);
	}
	CHECK(stat("tcpto", &status) == 0 && status.st_size == TCPTO_SIZE);
	CHECK(tcpto_read("tcpto", entries) == TCPTO_SLOTS);
	for (i = 0; i < TCPTO_SLOTS; i++)
		CHECK(!netip_equal(&entries[i].ip, &b)); /* the oldest made room */
	CHECK(tcpto_clear("tcpto") && tcpto_read("tcpto", entries) == 0);
	CHECK(!tcpto_clear("not-there") && errno == ENOENT);
}

static void
base64(void)
{
	static const char *const wrong[] = {
	    "YQ", "YQ=", "Y===", "====", "YR==", "YWJ=", "Y Q=", "YQ==YQ==", "\n"};
	struct str text = STR_INIT, bytes = STR_INIT;
	size_t i;

	base64_encode(&text, "\0alice\0secret", 13);
	CHECK(str_equal(&text, "AGFsaWNlAHNlY3JldA=="));
	CHECK(base64_decode(&bytes, text.s, text.len) && bytes.len == 13);
	CHECK(!memcmp(bytes.s, "\0alice\0secret", 13));
	CHECK(base64_decode(&bytes, "", 0) && bytes.len == 0);
	CHECK(base64_decode(&bytes, "/+8=", 4) && bytes.len == 2 && bytes.s[0] == '\xff');
	for (i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(!base64_decode(&bytes, wrong[i], strlen(wrong[i])));
	str_free(&text);
	str_free(&bytes);
}

static bool
digest_is(const unsigned char digest[SHA256_SIZE], const char *hex)
{
	char text[2 * SHA256_SIZE + 1];
	size_t i;

	for (i = 0; i < SHA256_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return !strcmp(text, hex);
}

/* Examples of FIPS 180-2, appendix B, and the empty message. */
static void
sha256(void)
{
	static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	unsigned char digest[SHA256_SIZE];
	struct sha256 hash;
	char thousand[1000];
	size_t i;

	sha256_start(&hash);
	sha256_end(&hash, digest);
	CHECK(
	    digest_is(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
	sha256_start(&hash);
	sha256_add(&hash, "abc", 3);
	sha256_end(&hash, digest);
	CHECK(
	    digest_is(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
	sha256_start(&hash);
	for (i = 0; i < sizeof two - 1; i++) /* a byte at a time */
		sha256_add(&hash, two + i, 1);
	sha256_end(&hash, digest);
	CHECK(
	    digest_is(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
	memset(thousand, 'a', sizeof thousand);
	sha256_start(&hash);
	for (i = 0; i < 1000; i++)
		sha256_add(&hash, thousand, sizeof thousand);
	sha256_end(&hash, digest);
	CHECK(
	    digest_is(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

/* RFC 4231, sections 4.2, 4.3, 4.7 and 4.8. */
static void
hmac(void)
{
	static const char first[] = "Test Using Larger Than Block-Size Key - Hash Key First";
	unsigned char digest[SHA256_SIZE], key[131];

	memset(key, 0x0b, 20);
	sha256_hmac(digest, key, 20, "Hi There", 8);
	CHECK(
	    digest_is(digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
	sha256_hmac(digest, "Jefe", 4, "what do ya want for nothing?", 28);
	CHECK(
	    digest_is(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
	memset(key, 0xaa, sizeof key);
	sha256_hmac(digest, key, sizeof key, first, sizeof first - 1);
	CHECK(
	    digest_is(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
}

static enum srs
back(struct str *to, const char *address, const struct list *keys, long today)
{
	struct str given = STR_INIT;
	enum srs how;

	str_set(&given, address);
	how = srs_reverse(to, &given, keys, today);
	str_free(&given);
	return how;
}

static bool
forth(struct str *to, const char *sender, const struct list *keys, long today)
{
	struct str given = STR_INIT;
	bool done;

	str_set(&given, sender);
	done = srs_forward(to, &given, "us.test", keys, today);
	str_free(&given);
	return done;
}

static void
srs_keys_and_shapes(void)
{
	struct list keys = LIST_INIT, none = LIST_INIT, weak = LIST_INIT;

	CHECK(!srs_keys(&none, "srskey") && errno == ENOENT);
	write_text("control/srskey", "0123456789abcdef0123456789abcde\n");
	CHECK(!srs_keys(&weak, "srskey") && errno == EINVAL);
	write_text("control/srskey", "\n# none\n");
	CHECK(!srs_keys(&none, "srskey"));
	write_text("control/srskey",
	    "0123456789abcdef0123456789abcdef\nfedcba9876543210fedcba9876543210\n");
	CHECK(srs_keys(&keys, "srskey") && keys.count == 2);
	list_free(&keys);
	list_free(&weak);
	list_free(&none);
}

/* What is not as it was signed, byte by byte; capitals and small letters are the same. */
static void
srs_forgeries(const struct str *good, const struct list *keys, long today)
{
	struct str made = STR_INIT, to = STR_INIT;
	size_t i, at = str_rfind(good, '@');

	for (i = 5; i < at; i++) {
		str_set_str(&made, good);
		made.s[i] = made.s[i] == 'q' || made.s[i] == 'Q' ? 'w' : 'q';
		CHECK(back(&to, made.s, keys, today) == SRS_FORGED);
		str_set_bytes(&made, good->s, i);
		str_add(&made, "@us.test");
		CHECK(back(&to, made.s, keys, today) == SRS_FORGED);
	}
	str_set_str(&made, good);
	str_lower(&made);
	CHECK(back(&to, made.s, keys, today) == SRS_OK);
	str_free(&made);
	str_free(&to);
}

static void
srs_addresses(void)
{
	struct str one = STR_INIT, two = STR_INIT, three = STR_INIT, to = STR_INIT;
	struct list keys = LIST_INIT, older = LIST_INIT;
	const long today = 20783;
	long day;

	list_add(&keys, "0123456789abcdef0123456789abcdef");
	list_index(&keys);
	CHECK(forth(&one, "Ann=x+y@a.test", &keys, today) && srs_is(&one));
	CHECK(str_starts(&one, "SRS0=") && str_ends_nocase(&one, "=JP=a.test=Ann=x+y@us.test"));
	CHECK(back(&to, one.s, &keys, today) == SRS_OK && str_equal(&to, "Ann=x+y@a.test"));
	srs_forgeries(&one, &keys, today);
	for (day = today; day < today + 1024; day++)
		CHECK(back(&to, one.s, &keys, day) ==
		      (day <= today + SRS_DAYS ? SRS_OK : SRS_EXPIRED));
	CHECK(back(&to, one.s, &keys, today - 1) == SRS_EXPIRED);
	CHECK(forth(&two, "SRS0+opaque=x@b.test", &keys, today));
	CHECK(str_starts(&two, "SRS1=") && str_ends_nocase(&two, "=b.test=+opaque=x@us.test"));
	CHECK(back(&to, two.s, &keys, today + 900) == SRS_OK);
	CHECK(str_equal(&to, "SRS0+opaque=x@b.test"));
	srs_forgeries(&two, &keys, today);
	CHECK(forth(&three, "SRS1=whoever=b.test=+opaque=x@c.test", &keys, today));
	CHECK(back(&to, three.s, &keys, today) == SRS_OK && str_equal(&to, "SRS0+opaque=x@b.test"));
	CHECK(back(&to, "ann@us.test", &keys, today) == SRS_NONE);
	CHECK(back(&to, "SRS0@us.test", &keys, today) == SRS_NONE);
	CHECK(back(&to, "SRS0=", &keys, today) == SRS_NONE);
	CHECK(back(&to, "SRS0=@us.test", &keys, today) == SRS_FORGED);
	CHECK(!forth(&to, "ann", &keys, today) && !forth(&to, "a@b=c.test", &keys, today));
	list_add(&older, "another key, that signs from now on");
	list_add(&older, keys.items[0]);
	list_index(&older);
	CHECK(back(&to, one.s, &older, today) == SRS_OK);
	CHECK(forth(&two, "a@b.test", &older, today));
	CHECK(back(&to, two.s, &keys, today) == SRS_FORGED);
	str_replace(&one, '0', '1'); /* signed as the one, shown as the other */
	CHECK(back(&to, one.s, &keys, today) == SRS_FORGED);
	list_free(&keys);
	list_free(&older);
	str_free(&one);
	str_free(&two);
	str_free(&three);
	str_free(&to);
}

int
main(void)
{
	char directory[] = "/tmp/qmail-lib-XXXXXX", command[64];

	signal(SIGPIPE, SIG_IGN);
	CHECK(mkdtemp(directory) && chdir(directory) == 0 && mkdir("control", 0755) == 0);
	strings();
	lists();
	input();
	output();
	control_files();
	addresses();
	log_words();
	network();
	databases();
	dates_and_paths();
	time_outs();
	submissions();
	base64();
	sha256();
	hmac();
	srs_keys_and_shapes();
	srs_addresses();
	snprintf(command, sizeof command, "rm -rf %s", directory);
	CHECK(system(command) == 0);
	printf("test-lib: %u passed, 0 failed\n", passed);
	return 0;
}
