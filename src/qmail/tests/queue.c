/* The queue's pure parts: each line states one fact; the first that does not hold ends the run. */
#include "lib/idn.h"
#include "queue/envelope.h"
#include "send/heap.h"
#include "send/messages.h"
#include "send/pause.h"
#include "send/route.h"
#include "send/share.h"
#include "spawn/account.h"
#include "spawn/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned passed;

#define CHECK(fact) check((fact), #fact, __LINE__)

static void
check(bool holds, const char *fact, int line)
{
	if (!holds) {
		fprintf(stderr, "tests/queue.c:%d: not so: %s\n", line, fact);
		exit(1);
	}
	passed++;
}

static void
times(void)
{
	/* The published schedule of remote messages: 0:00:00, 0:06:40, 0:26:40, 1:00:00 ... */
	static const time_t remote[] = {400, 1600, 3600, 6400, 10000};
	static const time_t local[] = {100, 400, 900, 1600, 2500};
	const time_t birth = 1700000000;
	time_t now = birth, then = birth;
	size_t i;

	for (i = 0; i < 5; i++) {
		now = next_attempt(birth, now, 20);
		then = next_attempt(birth, then, 10);
		CHECK(now == birth + remote[i]);
		CHECK(then == birth + local[i]);
	}
	CHECK(next_attempt(birth + 100, birth, 20) == birth + 400);
	CHECK(next_attempt(0, 4000000000, 20) > 4000000000);
}

static void
heaps(void)
{
	static char names[1000];
	struct heap heap = {0};
	unsigned random = 1;
	time_t last = 0;
	size_t i;

	CHECK(!heap_first(&heap));
	for (i = 0; i < 1000; i++) {
		random = random * 1103515245 + 12345;
		heap_add(&heap, (time_t)(random >> 16) % 50, &names[i]);
	}
	for (i = 0; i < 500; i++) {
		time_t when = heap_first(&heap)->when;

		CHECK(when >= last);
		last = when;
		heap_take(&heap);
	}
	heap_hurry(&heap, 0);
	for (i = 0; i < 500; i++) {
		CHECK(heap_first(&heap)->when == 0);
		heap_take(&heap);
	}
	/* Equal times: first come, first served, also after a hurry. */
	for (i = 0; i < 100; i++)
		heap_add(&heap, (time_t)(i < 50 ? 9 : 7), &names[i]);
	heap_hurry(&heap, 5);
	for (i = 0; i < 100; i++)
		CHECK(heap_take(&heap) == &names[(i + 50) % 100]);
	free(heap.items);
}

static void
books(void)
{
	struct message_table table = {0};
	unsigned long id;

	CHECK(!message_find(&table, 5));
	for (id = 0; id < 50000; id++)
		message_add(&table, id * 4096);
	CHECK(table.count == 50000);
	for (id = 0; id < 50000; id++)
		CHECK(message_find(&table, id * 4096)->id == id * 4096);
	CHECK(!message_find(&table, 1));
	for (id = 0; id < 50000; id += 2)
		message_drop(&table, message_find(&table, id * 4096));
	CHECK(!message_find(&table, 0) && message_find(&table, 4096));
	for (id = 1; id < 50000; id += 2)
		message_drop(&table, message_find(&table, id * 4096));
	CHECK(table.count == 0);
	free(table.chains);
}

/* A list of many and two messages of one: each message has a turn before the list has its second.
 */
static void
turns(void)
{
	static const unsigned long order[] = {1, 2, 3, 1, 1};
	struct message messages[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
	struct waiting waiting;
	struct holder *one;
	struct share share;
	size_t i;

	share_open(&share, 1);
	one = share_holder(&share, "x.test");
	share_enter(one);
	for (i = 0; i < 3; i++)
		share_wait(one, &messages[0], i);
	share_wait(one, &messages[1], 9);
	share_wait(one, &messages[2], 9);
	for (i = 0; i < 5; i++) {
		share_leave(&share, one);
		CHECK(share_ready(&share, &waiting) && waiting.message->id == order[i]);
		share_enter(one);
	}
	CHECK(waiting.at == 2);
	share_leave(&share, one);
	CHECK(!share.holders);
}

/* Two of three at a time, the third when one ends; nothing is left behind. */
static void
shares(void)
{
	struct message messages[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
	struct waiting waiting;
	struct holder *one, *other;
	struct share share;

	CHECK(share_size(10, 0) == 3 && share_size(20, 0) == 6 && share_size(2, 0) == 1);
	CHECK(share_size(0, 0) == 1 && share_size(10, 7) == 7);
	share_open(&share, 2);
	one = share_holder(&share, "1000");
	share_enter(one);
	share_enter(one);
	CHECK(share_holder(&share, "1000") == one);
	other = share_holder(&share, "1001");
	share_enter(other);
	CHECK(other != one);
	share_wait(one, &messages[0], 10);
	share_wait(one, &messages[1], 20);
	share_wait(one, &messages[2], 30);
	CHECK(!share_ready(&share, &waiting));
	share_leave(&share, other);
	CHECK(!share_ready(&share, &waiting));
	share_leave(&share, one);
	CHECK(share_ready(&share, &waiting) && waiting.message == &messages[0] && waiting.at == 10);
	CHECK(!share_ready(&share, &waiting));
	share_enter(one);
	share_leave(&share, one);
	share_leave(&share, one);
	CHECK(share.holders == one && one->running == 0 && one->ready == 2);
	CHECK(share_ready(&share, &waiting) && waiting.message == &messages[1]);
	share_enter(one);
	share_cancel(&share, one);
	CHECK(share.holders == one);
	CHECK(share_ready(&share, &waiting) && waiting.message == &messages[2] &&
	      waiting.holder == one);
	share_enter(one);
	share_leave(&share, one);
	CHECK(!share.holders && !share_ready(&share, &waiting));
	turns();
}

/* What the remote host has said, and nobody else. */
static void
hints(void)
{
	CHECK(pause_is_asked_for("192.0.2.1 is closing down.\nRemote host said: 421 bye\n"));
	CHECK(pause_is_asked_for("x\nRemote host said: 421-4.3.2 one\n421 two\n"));
	CHECK(pause_is_asked_for("x\nRemote host said: 450 4.7.1 slowly\nGiving up on x.\n"));
	CHECK(
	    pause_is_asked_for("x\nRemote host said: 250 a\ny\nRemote host said: 451 4.7.650 b\n"));
	CHECK(!pause_is_asked_for("x\nRemote host said: 450 4.2.0 busy\n"));
	CHECK(!pause_is_asked_for("x\nRemote host said: 550 5.7.1 no\n"));
	CHECK(!pause_is_asked_for("x\nRemote host said: 450 see Remote host said: 421\n"));
	CHECK(!pause_is_asked_for("must be spoken to by TLS (#4.7.4), and isn't: 421\n"));
	CHECK(!pause_is_asked_for("Remote host said: ") && !pause_is_asked_for(""));
	CHECK(!pause_is_asked_for("Remote host said: 4") && !pause_is_asked_for("421 4.7.0"));
}

/* A minute, then twice as long each time, up to an hour; a success ends all of it. */
static void
pauses(void)
{
	static const time_t lengths[] = {60, 120, 240, 480, 960, 1920, 3600, 3600};
	struct pauses known = {NULL, 0};
	struct str name = STR_INIT;
	time_t now = 1700000000;
	size_t i;

	CHECK(!pause_until(&known, "x.test", now) && !pause_on_probation(&known, "x.test"));
	for (i = 0; i < 8; i++) {
		CHECK(pause_begin(&known, "x.test", now) == lengths[i]);
		CHECK(pause_begin(&known, "x.test", now + 1) == 0);
		CHECK(pause_until(&known, "x.test", now) == now + lengths[i]);
		CHECK(!pause_until(&known, "y.test", now));
		now += lengths[i];
		CHECK(!pause_until(&known, "x.test", now) && pause_on_probation(&known, "x.test"));
	}
	CHECK(!pause_until(&known, "x.test", now - 100000)); /* a clock that was set back */
	CHECK(pause_end(&known, "x.test") && !pause_end(&known, "x.test"));
	CHECK(pause_begin(&known, "x.test", now) == 60);
	CHECK(pause_begin(&known, "x.test", now + PAUSE_KEPT + 61) == 60);
	for (i = 0; i < PAUSES_MOST + 10; i++) {
		str_clear(&name);
		str_addf(&name, "d%zu.test", i);
		CHECK(pause_begin(&known, name.s, now + (time_t)i) == 60);
	}
	CHECK(known.count == PAUSES_MOST && !pause_on_probation(&known, "d0.test"));
	CHECK(pause_on_probation(&known, name.s));
	for (i = 0; i < PAUSES_MOST + 10; i++) {
		str_clear(&name);
		str_addf(&name, "d%zu.test", i);
		pause_end(&known, name.s);
	}
	pause_end(&known, "x.test");
	CHECK(!known.count && !known.first);
	str_free(&name);
}

/* Where a share has grown, those who wait have it at once. */
static void
filled(void)
{
	struct message message = {.id = 1};
	struct waiting waiting;
	struct holder *one;
	struct share share;
	size_t i, ready = 0;

	share_open(&share, 3);
	one = share_holder(&share, "x.test");
	share_enter(one);
	for (i = 0; i < 4; i++)
		share_wait(one, &message, i);
	share_fill(&share, one);
	while (share_ready(&share, &waiting)) {
		share_enter(one);
		ready++;
	}
	CHECK(ready == 2);
	for (i = 0; i < 3; i++)
		share_leave(&share, one);
	while (share_ready(&share, &waiting)) {
		share_enter(one);
		share_leave(&share, one);
	}
	CHECK(!share.holders);
}

static struct routes routes = {LIST_INIT, LIST_INIT, LIST_INIT, STR_INIT};

static bool
goes(const char *recipient, enum channel channel, const char *to)
{
	struct str got = STR_INIT;
	bool right = route(&routes, recipient, &got) == channel && str_equal(&got, to);

	if (!right)
		fprintf(stderr, "%s goes to %s\n", recipient, got.s);
	str_free(&got);
	return right;
}

static bool
known_as(const char *recipient, const char *address)
{
	struct str got = STR_INIT;
	bool right;

	route_back(&routes, recipient, &got);
	right = str_equal(&got, address);
	str_free(&got);
	return right;
}

static bool
sent_as(const char *sender, const char *recipient, const char *as)
{
	struct str got = STR_INIT;
	bool right;

	route_sender(sender, recipient, &got);
	right = str_equal(&got, as);
	str_free(&got);
	return right;
}

static void
addresses(void)
{
	static const char *const locals[] = {"here.test", "Mail.Here.Test", "xn--mnchen-3ya.test"};
	static const char *const virtual[] = {"joe@special.test:special", "special.test:other",
	    ".wild.test:wild", ".deep.wild.test:deep", "not.wild.test:", "here.test:never",
	    "both.test:a-b", "b\303\274cher.test:books"};
	size_t i;

	for (i = 0; i < sizeof locals / sizeof *locals; i++)
		list_add(&routes.locals, locals[i]);
	for (i = 0; i < sizeof virtual / sizeof *virtual; i++)
		list_add(&routes.virtual, virtual[i]);
	list_add(&routes.percent, "percent.test");
	idn_keys(&routes.virtual);
	list_sort(&routes.locals);
	list_sort(&routes.virtual);
	list_sort(&routes.percent);
	str_set(&routes.no_at_host, "nohost.test");

	/* One domain in two spellings; somebody else's is not touched. */
	CHECK(goes("u@m\303\274nchen.test", CHANNEL_LOCAL, "u@xn--mnchen-3ya.test"));
	CHECK(goes("u@M\303\234NCHEN.test", CHANNEL_LOCAL, "u@xn--mnchen-3ya.test"));
	CHECK(goes("u@b\303\274cher.test", CHANNEL_LOCAL, "books-u@xn--bcher-kva.test"));
	CHECK(goes("u@xn--bcher-kva.test", CHANNEL_LOCAL, "books-u@xn--bcher-kva.test"));
	CHECK(known_as("books-u@xn--bcher-kva.test", "u@xn--bcher-kva.test"));
	CHECK(goes("u@k\303\266ln.test", CHANNEL_REMOTE, "u@k\303\266ln.test"));
	CHECK(goes("u@m\374nchen.test", CHANNEL_REMOTE, "u@m\374nchen.test"));

	/* This host has names of its own that need no control file. */
	CHECK(goes("root@localhost", CHANNEL_LOCAL, "root@localhost"));
	CHECK(goes("root@LocalHost", CHANNEL_LOCAL, "root@LocalHost"));
	CHECK(goes("root@localhost.localdomain", CHANNEL_LOCAL, "root@localhost.localdomain"));
	CHECK(goes("root@[127.0.0.1]", CHANNEL_LOCAL, "root@[127.0.0.1]"));
	CHECK(goes("root@[IPv6:::1]", CHANNEL_LOCAL, "root@[IPv6:::1]"));
	CHECK(goes("root@[203.0.113.9]", CHANNEL_REMOTE, "root@[203.0.113.9]"));
	CHECK(goes("root@localhost.test", CHANNEL_REMOTE, "root@localhost.test"));
	CHECK(known_as("a-root@localhost", "a-root@localhost"));

	CHECK(goes("joe@here.test", CHANNEL_LOCAL, "joe@here.test"));
	CHECK(goes("joe@HERE.Test", CHANNEL_LOCAL, "joe@HERE.Test"));
	CHECK(goes("joe@mail.here.test", CHANNEL_LOCAL, "joe@mail.here.test"));
	CHECK(goes("joe@sub.here.test", CHANNEL_REMOTE, "joe@sub.here.test"));
	CHECK(goes("joe@far.test", CHANNEL_REMOTE, "joe@far.test"));
	CHECK(goes("a@b@here.test", CHANNEL_LOCAL, "a@b@here.test"));
	CHECK(goes("joe", CHANNEL_REMOTE, "joe@nohost.test"));
	CHECK(goes("", CHANNEL_REMOTE, "@nohost.test"));
	CHECK(goes("joe@special.test", CHANNEL_LOCAL, "special-joe@special.test"));
	CHECK(goes("JOE@special.test", CHANNEL_LOCAL, "special-JOE@special.test"));
	CHECK(goes("bob@special.test", CHANNEL_LOCAL, "other-bob@special.test"));
	CHECK(goes("bob@x.wild.test", CHANNEL_LOCAL, "wild-bob@x.wild.test"));
	CHECK(goes("bob@x.y.wild.test", CHANNEL_LOCAL, "wild-bob@x.y.wild.test"));
	CHECK(goes("bob@x.deep.wild.test", CHANNEL_LOCAL, "deep-bob@x.deep.wild.test"));
	CHECK(goes("bob@wild.test", CHANNEL_REMOTE, "bob@wild.test"));
	CHECK(goes("bob@not.wild.test", CHANNEL_REMOTE, "bob@not.wild.test"));
	CHECK(goes("a%far.test@percent.test", CHANNEL_REMOTE, "a@far.test"));
	CHECK(goes("a%here.test@percent.test", CHANNEL_LOCAL, "a@here.test"));
	CHECK(goes("a%b%percent.test@percent.test", CHANNEL_REMOTE, "a@b"));
	CHECK(goes("a@percent.test", CHANNEL_REMOTE, "a@percent.test"));
	CHECK(goes("a%far.test@here.test", CHANNEL_LOCAL, "a%far.test@here.test"));

	CHECK(known_as("special-joe@special.test", "joe@special.test"));
	CHECK(known_as("other-bob@special.test", "bob@special.test"));
	CHECK(known_as("wild-bob-list@x.wild.test", "bob-list@x.wild.test"));
	CHECK(known_as("a-b-c@both.test", "c@both.test"));
	CHECK(known_as("wild-bob@here.test", "wild-bob@here.test"));
	CHECK(known_as("joe@far.test", "joe@far.test"));
	CHECK(known_as("dash-y@far.test", "dash-y@far.test"));

	list_add(&routes.virtual, ":all");
	list_sort(&routes.virtual);
	CHECK(goes("bob@far.test", CHANNEL_LOCAL, "all-bob@far.test"));
	CHECK(goes("bob@not.wild.test", CHANNEL_REMOTE, "bob@not.wild.test"));
	CHECK(goes("u@k\303\266ln.test", CHANNEL_LOCAL, "all-u@xn--kln-sna.test"));
	CHECK(goes("root@localhost", CHANNEL_LOCAL, "root@localhost"));
	CHECK(goes("joe@here.test", CHANNEL_LOCAL, "joe@here.test"));
	CHECK(known_as("all-bob@far.test", "bob@far.test"));

	CHECK(sent_as("a@b", "c@d", "a@b"));
	CHECK(sent_as("", "c@d", ""));
	CHECK(sent_as("#@[]", "c@d", "#@[]"));
	CHECK(sent_as("list-@host-@[]", "c@d", "list-c=d@host"));
	CHECK(sent_as("list-@host-@[]", "x@c@d", "list-x@c=d@host"));
	CHECK(sent_as("list-@host-@[]", "nohost", "list-@host-@[]"));
	CHECK(sent_as("-@[]", "c@d", "-@[]"));
	CHECK(sent_as("nohost-@[]", "c@d", "nohost-@[]"));
	{
		struct str to = STR_INIT;

		route_bounce("list-@host-@[]", &to);
		CHECK(str_equal(&to, "list-@host"));
		route_bounce("joe@host", &to);
		CHECK(str_equal(&to, "joe@host"));
		str_free(&to);
	}
	list_free(&routes.locals);
	list_free(&routes.virtual);
	list_free(&routes.percent);
	str_free(&routes.no_at_host);
}

/* A system of a few accounts; "lost" stands for a name service that does not answer. */
static const struct passwd *
look_up(const char *name)
{
	static const struct {
		const char *name;
		uid_t uid;
		const char *home;
	} accounts[] = {{"joe", 1001, "/home/joe"}, {"joe-list", 1002, "/home/list"},
	    {"root", 0, "/root"}, {"daemon", 2, "/usr"}, {"flat", 1003, "relative"},
	    {"nfs", 1004, "/unknown"}, {"abcdefghijklmnopqrstuvwxyz0123456", 1005, "/home/long"},
	    {"alias", 900, "/var/qmail/alias"}};
	static char names[64], homes[64];
	static struct passwd found = {.pw_name = names, .pw_dir = homes, .pw_gid = 101};
	size_t i;

	for (i = 0; i < sizeof accounts / sizeof *accounts; i++) {
		if (strcmp(accounts[i].name, name))
			continue;
		snprintf(names, sizeof names, "%s", name);
		snprintf(homes, sizeof homes, "%s", accounts[i].home);
		found.pw_uid = accounts[i].uid;
		return &found;
	}
	errno = strcmp(name, "lost") ? 0 : EIO;
	return NULL;
}

static int
owns(const char *path, uid_t uid)
{
	(void)uid;
	return strcmp(path, "/unknown") ? strcmp(path, "/usr") != 0 : -1;
}

static const struct account_system small = {look_up, owns};

static bool
belongs(const char *local, const char *user, const char *dash, const char *ext)
{
	struct account a;
	bool right;

	account_init(&a);
	right = account_passwd(&small, local, &a) == ACCOUNT_FOUND && str_equal(&a.user, user) &&
		str_equal(&a.dash, dash) && str_equal(&a.ext, ext);
	account_free(&a);
	return right;
}

static bool
is_trouble(const char *local)
{
	struct account a;
	bool right;

	account_init(&a);
	right = account_passwd(&small, local, &a) == ACCOUNT_TROUBLE;
	account_free(&a);
	return right;
}

static void
accounts(void)
{
	static const char joe[] = "joe\0001001\000101\0/home/joe\0-\0x";
	static const char root[] = "joe\0000\000101\0/home/joe\0-\0x";
	static const char nowhere[] = "joe\0001001\000101\0home/joe\0-\0x";
	static const char nobody[] = "\0001001\000101\0/home/joe\0-\0x";
	struct account a, b;
	struct str packed = STR_INIT;

	CHECK(belongs("joe", "joe", "", ""));
	CHECK(belongs("JOE", "joe", "", ""));
	CHECK(belongs("joe-Some-Thing", "joe", "-", "Some-Thing"));
	CHECK(belongs("joe-", "joe", "-", ""));
	CHECK(belongs("joe-list", "joe-list", "", ""));
	CHECK(belongs("joe-list-owner", "joe-list", "-", "owner"));
	CHECK(belongs("joey", "alias", "-", "joey"));
	CHECK(belongs("nobody-here", "alias", "-", "nobody-here"));
	CHECK(belongs("-joe", "alias", "-", "-joe"));
	CHECK(belongs("", "alias", "-", ""));
	CHECK(belongs("root", "alias", "-", "root"));
	CHECK(belongs("root-x", "alias", "-", "root-x"));
	CHECK(belongs("daemon", "alias", "-", "daemon"));
	CHECK(belongs("flat", "alias", "-", "flat"));
	CHECK(belongs("abcdefghijklmnopqrstuvwxyz0123456", "alias", "-",
	    "abcdefghijklmnopqrstuvwxyz0123456"));
	CHECK(is_trouble("lost"));
	CHECK(is_trouble("nfs"));
	CHECK(is_trouble("lost-ext"));

	account_init(&a);
	account_init(&b);
	CHECK(account_passwd(&small, "joe-x", &a) == ACCOUNT_FOUND);
	account_pack(&a, &packed);
	CHECK(packed.len == sizeof joe && !memcmp(packed.s, joe, sizeof joe));
	CHECK(account_unpack(packed.s, packed.len, &b));
	CHECK(b.uid == 1001 && b.gid == 101 && str_equal(&b.home, "/home/joe"));
	CHECK(!account_unpack(packed.s, packed.len - 1, &b));
	/* Root believes nobody, not the process either that looks users up for it. */
	CHECK(!account_unpack(root, sizeof root, &b));
	CHECK(!account_unpack(nowhere, sizeof nowhere, &b));
	CHECK(!account_unpack(nobody, sizeof nobody, &b));
	CHECK(!account_unpack("", 0, &b));
	account_free(&a);
	account_free(&b);
	str_free(&packed);
}

static bool
reported(int code, const char *output, size_t len, const char *report)
{
	struct str got = STR_INIT;
	bool right;

	report_remote(code, output, len, &got);
	right = str_equal(&got, report);
	if (!right)
		fprintf(stderr, "reported as %s\n", got.s);
	str_free(&got);
	return right;
}

static void
reports(void)
{
#define REPORTED(output, report) CHECK(reported(0, output, sizeof output - 1, report))
	REPORTED("r\0Kaccepted\n\0", "Kaccepted\n");
	REPORTED("hno\n\0Dgiving up\n\0", "Dno\ngiving up\n");
	REPORTED("snot now\n\0Dgiving up\n\0", "Znot now\ngiving up\n");
	REPORTED("snot now\n\0Zgiving up\n\0", "Znot now\ngiving up\n");
	REPORTED("hno\n\0Kothers\n\0", "Dno\nothers\n");
	REPORTED("hno\n\0Zlost\n\0", "Dno\nlost\n");
	REPORTED("r\0Dbad content\n\0", "Dbad content\n");
	REPORTED("r\0Zlost\n\0", "Zlost\n");
	REPORTED("Dno such host\n\0", "Dno such host\n");
	REPORTED("Zno route\n\0", "Zno route\n");
	REPORTED("Kwhich one?\n\0", "Zwhich one?\n");
	REPORTED("", "Zqmail-remote did not make sense.\n");
	REPORTED("r\0", "Zqmail-remote did not make sense.\n");
	REPORTED("Kcut off", "Zqmail-remote did not make sense.\n");
	REPORTED("\0\0", "Zqmail-remote did not make sense.\n");
	CHECK(reported(1, "r\0Kx\0", 5, "Zqmail-remote did not make sense.\n"));
	CHECK(reported(111, "why", 3, "ZUnable to run qmail-remote. why"));
#undef REPORTED
}

static void
envelopes(void)
{
	static const char whole[] = "Fa\0Tb\0Tc\0\0rest";
	struct envelope at_once = {0}, by_bytes = {0};
	size_t i, used = 0;

	CHECK(envelope_feed(&at_once, whole, sizeof whole) == 9);
	CHECK(at_once.state == ENVELOPE_DONE && at_once.recipients == 2);
	for (i = 0; by_bytes.state < ENVELOPE_DONE; i++)
		used += envelope_feed(&by_bytes, whole + i, 1);
	CHECK(used == 9 && by_bytes.state == ENVELOPE_DONE);
}

int
main(void)
{
	times();
	heaps();
	books();
	shares();
	filled();
	hints();
	pauses();
	addresses();
	accounts();
	reports();
	envelopes();
	printf("queue: %u facts hold\n", passed);
	return 0;
}
