/* Handing a message to qmail-queue: see submit.h. */
#include "lib/submit.h"

#include "lib/addr.h"
#include "lib/signing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REASON_FD 6
#define REASON_MAX 400
#define QUEUE "bin/qmail-queue"
#define SIGN "bin/qmail-sign"

/*
 * A pipe whose end for the child (0: it reads) is none of the descriptors that the child gets, as
 * those are put into their places one after the other. Closed by any exec.
 */
static bool
pipe_for_child(int ends[2], int childs)
{
	int end;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	if (ends[childs] > 1 && ends[childs] != REASON_FD)
		return true;
	end = fcntl(ends[childs], F_DUPFD_CLOEXEC, REASON_FD + 1);
	close(ends[childs]);
	ends[childs] = end;
	if (end < 0)
		close(ends[!childs]);
	return end >= 0;
}

/* With one argument; NULL: without. */
static int
start(const char *program, const char *argument, pid_t *pid, int message, int envelope, int reason)
{
	char *arguments[3] = {NULL, NULL, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t normal;
	int error;

	arguments[0] = strdup(program);
	if (argument)
		arguments[1] = strdup(argument);
	if (!arguments[0] || (argument && !arguments[1]))
		return ENOMEM;
	sigemptyset(&normal);
	sigaddset(&normal, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, message, 0);
	posix_spawn_file_actions_adddup2(&actions, envelope, 1);
	posix_spawn_file_actions_adddup2(&actions, reason, REASON_FD);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &normal);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	error = posix_spawn(pid, program, &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	free(arguments[0]);
	free(arguments[1]);
	return error;
}

static bool
open_with(struct submission *s, const char *program, const char *argument)
{
	int message[2], envelope[2], reason[2], error;

	if (!pipe_for_child(message, 0))
		return false;
	if (!pipe_for_child(envelope, 0)) {
		close(message[0]);
		close(message[1]);
		return false;
	}
	if (!pipe_for_child(reason, 1)) {
		close(message[0]);
		close(message[1]);
		close(envelope[0]);
		close(envelope[1]);
		return false;
	}
	error = start(program, argument, &s->pid, message[0], envelope[0], reason[1]);
	close(message[0]);
	close(envelope[0]);
	close(reason[1]);
	if (error) {
		close(message[1]);
		close(envelope[1]);
		close(reason[0]);
		errno = error;
		return false;
	}
	s->message = message[1];
	s->envelope = envelope[1];
	s->reason = reason[0];
	s->failed = false;
	s->number = 0;
	out_fd(&s->out, s->message, s->buffer, sizeof s->buffer);
	return true;
}

bool
submit_open_to(struct submission *s, const char *program)
{
	return open_with(s, program && *program ? program : QUEUE, NULL);
}

bool
submit_open_own(struct submission *s, const char *program)
{
	switch (signing_wanted()) {
	case CONTROL_OK: return open_with(s, SIGN, program && *program ? program : NULL);
	case CONTROL_ABSENT: return submit_open_to(s, program);
	case CONTROL_ERROR: break;
	}
	return false;
}

bool
submit_open(struct submission *s)
{
	return submit_open_to(s, getenv("QMAILQUEUE"));
}

unsigned long
submit_id(const struct submission *s)
{
	return s->number ? s->number : (unsigned long)s->pid;
}

void
submit_bytes(struct submission *s, const void *bytes, size_t len)
{
	out_bytes(&s->out, bytes, len);
}

void
submit_text(struct submission *s, const char *text)
{
	out_text(&s->out, text);
}

void
submit_fail(struct submission *s)
{
	s->failed = true;
}

/* Ends the message, if it has not been, and turns the writer to the envelope. */
static void
end_message(struct submission *s)
{
	if (s->message < 0)
		return;
	if (!out_flush(&s->out))
		submit_fail(s);
	close(s->message);
	s->message = -1;
	out_fd(&s->out, s->envelope, s->buffer, sizeof s->buffer);
}

static void
envelope_item(struct submission *s, char kind, const char *address)
{
	if (s->failed)
		return;
	out_char(&s->out, kind);
	out_bytes(&s->out, address, strlen(address) + 1);
}

void
submit_sender(struct submission *s, const char *sender)
{
	end_message(s);
	envelope_item(s, 'F', sender);
}

void
submit_recipient(struct submission *s, const char *recipient)
{
	envelope_item(s, 'T', recipient);
}

static void
end_envelope(struct submission *s)
{
	end_message(s);
	if (!s->failed)
		out_char(&s->out, 0);
	if (!s->failed && !out_flush(&s->out))
		s->failed = true;
	close(s->envelope);
}

/*
 * Reads the reason until the program has ended, then what is left in the pipe: a process
 * that it left behind with the descriptor open can't hold us.
 */
static size_t
collect_reason(struct submission *s, char *reason, size_t max)
{
	int pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	size_t len = 0;

	for (;;) {
		struct pollfd wait[2] = {
		    {.fd = s->reason, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
		ssize_t got;

		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			break;
		if (!wait[0].revents) {
			if (wait[1].revents)
				break;
			continue;
		}
		got = read(s->reason, reason + len, max - len);
		if (got > 0)
			len += (size_t)got;
		if (got == 0 || (got < 0 && errno != EINTR) || len == max)
			break;
	}
	if (pidfd >= 0)
		close(pidfd);
	close(s->reason);
	return len;
}

static int
exit_code(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The number behind a K; a program that says something else has the one of its process. */
static unsigned long
said_number(const char *reason, size_t len)
{
	char digits[24] = "";
	unsigned long number = 0;

	if (len > 1 && len <= sizeof digits && reason[0] == 'K') {
		memcpy(digits, reason + 1, len - 1);
		number_parse(digits, ULONG_MAX, &number);
	}
	return number;
}

struct meaning {
	int code;
	const char *text;
};

static const char *
meaning_of(int code)
{
	static const struct meaning meanings[] = {
	    {11, "envelope address too long for qq (#5.1.3)"},
	    {31, "mail server permanently rejected message (#5.3.0)"},
	    {51, "qq out of memory (#4.3.0)"},
	    {52, "qq timeout (#4.3.0)"},
	    {53, "qq write error or disk full (#4.3.0)"},
	    {54, "qq read error (#4.3.0)"},
	    {55, "qq unable to read configuration (#4.3.0)"},
	    {56, "qq trouble making network connection (#4.3.0)"},
	    {61, "qq trouble in home directory (#4.3.0)"},
	    {62, "qq trouble in home directory (#4.3.0)"},
	    {63, "qq trouble creating files in queue (#4.3.0)"},
	    {64, "qq trouble creating files in queue (#4.3.0)"},
	    {65, "qq trouble creating files in queue (#4.3.0)"},
	    {66, "qq trouble creating files in queue (#4.3.0)"},
	    {71, "mail server temporarily rejected message (#4.3.0)"},
	    {72, "connection to mail server timed out (#4.4.1)"},
	    {73, "connection to mail server rejected (#4.4.1)"},
	    {74, "communication with mail server failed (#4.4.2)"},
	    {81, "qq internal bug (#4.3.0)"},
	    {91, "qq envelope format error (#4.3.0)"},
	    {-1, "qq crashed (#4.3.0)"},
	};
	size_t i;

	for (i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (meanings[i].code == code)
			return meanings[i].text;
	return NULL;
}

static bool
has_status(const struct str *text)
{
	return text->len > 2 && text->s[text->len - 1] == ')' && strstr(text->s, "(#");
}

/* The words of D… or Z…, one printable line; false where there is no reason of that kind. */
static bool
explain_by_reason(const char *reason, size_t len, struct submit_result *result)
{
	struct str text = STR_INIT;
	size_t line = 0;

	if (!len || (reason[0] != 'D' && reason[0] != 'Z'))
		return false;
	while (line < len - 1 && reason[1 + line] != '\n' && reason[1 + line] != 0)
		line++;
	while (line && strchr(" \t\r", reason[line]))
		line--;
	add_printable(&text, reason + 1, line, REASON_MAX);
	result->class = reason[0] == 'D' ? SUBMIT_REFUSED : SUBMIT_TRY_LATER;
	if (!text.len)
		str_add(&text, "message refused");
	if (!has_status(&text))
		str_add(&text, reason[0] == 'D' ? " (#5.7.1)" : " (#4.7.1)");
	memcpy(result->text, text.s, text.len + 1);
	str_free(&text);
	return true;
}

void
submit_explain(int code, const char *reason, size_t reason_len, struct submit_result *result)
{
	const char *text = meaning_of(code);

	result->code = code;
	if (code == 0) {
		result->class = SUBMIT_ACCEPTED;
		result->text[0] = 0;
		return;
	}
	if (code == 82 && explain_by_reason(reason, reason_len, result))
		return;
	result->class = code >= 11 && code <= 40 ? SUBMIT_REFUSED : SUBMIT_TRY_LATER;
	if (!text)
		text = result->class == SUBMIT_REFUSED ? "qq permanent problem (#5.3.0)"
						       : "qq temporary problem (#4.3.0)";
	snprintf(result->text, sizeof result->text, "%s", text);
}

void
submit_close(struct submission *s, struct submit_result *result)
{
	char reason[REASON_MAX + 1];
	size_t len;
	int code;

	end_envelope(s);
	len = collect_reason(s, reason, sizeof reason);
	code = exit_code(s->pid);
	/* A program that says "accepted" to an incomplete envelope is not believed. */
	if (s->failed && code == 0)
		code = 54;
	if (code == 0)
		s->number = said_number(reason, len);
	submit_explain(code, reason, len, result);
}

void
submit_abandon(struct submission *s)
{
	struct submit_result ignored;

	submit_fail(s);
	submit_close(s, &ignored);
}
