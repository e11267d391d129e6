/* A mailbox that is getting full: see warning.h. */
#include "local/warning.h"

#include "lib/addr.h"
#include "lib/bio.h"
#include "lib/when.h"
#include "local/maildirname.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Megabytes with one decimal, or gigabytes from ten thousand of them on. */
static void
add_size(struct str *to, unsigned long bytes)
{
	const unsigned long mega = 1000000, giga = 1000 * mega;
	unsigned long unit = bytes >= 10 * giga ? giga : mega;

	str_addf(
	    to, "%lu.%lu %cB", bytes / unit, bytes % unit / (unit / 10), unit == giga ? 'G' : 'M');
}

static void
add_domain(struct str *to, const char *domain)
{
	size_t at = to->len;

	str_add(to, domain);
	for (; at < to->len; at++)
		if (to->s[at] <= ' ' || strchr("<>()@,;:\\\"", to->s[at]) || to->s[at] == 0x7f)
			to->s[at] = '_';
}

static void
add_address(struct str *to, const struct delivery *d)
{
	struct str address = STR_INIT;

	str_set(&address, delivery_local(d));
	str_replace(&address, '\n', '_');
	str_replace(&address, '\r', '_');
	str_add_char(&address, '@');
	add_domain(&address, d->domain);
	addr_quote(to, &address);
	str_free(&address);
}

static void
add_message_id(struct str *to, const struct timespec *now, const char *domain)
{
	str_addf(to, "Message-ID: <%lld.%06ld.%ld.quota@", (long long)now->tv_sec,
	    now->tv_nsec / 1000, (long)getpid());
	add_domain(to, domain);
	str_add(to, ">\n");
}

static void
compose(struct str *to, unsigned percent, const struct quota *quota, const struct delivery *d,
    const struct timespec *now)
{
	str_add(to, "Return-Path: <>\nDate: ");
	when_822(to, now->tv_sec);
	str_add(to, "\nFrom: Postmaster <postmaster@");
	add_domain(to, d->domain);
	str_add(to, ">\nTo: <");
	add_address(to, d);
	str_addf(to, ">\nSubject: %u %% of your mailbox is used\n", percent);
	add_message_id(to, now, d->domain);
	str_add(to, "Auto-Submitted: auto-generated\n\nOf the ");
	add_size(to, quota->limit);
	str_add(to, " that your mailbox may have, ");
	add_size(to, quota->used.bytes);
	str_addf(to,
	    " are used, in %lu messages.\n"
	    "When it is full, mail for you is turned away until you have deleted some.\n"
	    "Folders and the trash count as well.\n",
	    quota->used.count);
}

/* Every line of it has an end of one byte. */
static size_t
on_the_wire(const struct str *text)
{
	size_t len = text->len, at;

	for (at = 0; at < text->len; at++)
		len += text->s[at] == '\n';
	return len;
}

static bool
write_file(int maildir, const char *name, const struct str *text)
{
	int fd = openat(maildir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool done = fd >= 0 && fd_write_all(fd, text->s, text->len);

	if (fd >= 0 && close(fd))
		done = false;
	return done;
}

static bool
put(int maildir, const struct str *name, const struct str *text)
{
	struct str tmp = STR_INIT, new = STR_INIT;
	bool done;

	str_addf(&tmp, "tmp/%s", name->s);
	str_addf(&new, "new/%s,S=%zu,W=%zu", name->s, text->len, on_the_wire(text));
	done = write_file(maildir, tmp.s, text) && linkat(maildir, tmp.s, maildir, new.s, 0) == 0;
	unlinkat(maildir, tmp.s, 0);
	str_free(&tmp);
	str_free(&new);
	return done;
}

void
warning_deliver(int maildir, unsigned percent, struct quota *quota, const struct delivery *d)
{
	struct str name = STR_INIT, text = STR_INIT;
	char host[256] = "";
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (gethostname(host, sizeof host - 1))
		strcpy(host, "localhost");
	/* Deliveries of this process have numbers from 1. */
	str_addf(
	    &name, "%lld.M%06ldP%ldQ0.", (long long)now.tv_sec, now.tv_nsec / 1000, (long)getpid());
	maildir_add_host(&name, host);
	compose(&text, percent, quota, d, &now);
	if (put(maildir, &name, &text))
		quota_add(quota, maildir, (long)text.len, 1);
	str_free(&name);
	str_free(&text);
}
