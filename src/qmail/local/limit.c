/* A limit on a delivery's time: see limit.h. */
#include "local/limit.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t over;

static void
note(int signal)
{
	(void)signal;
	over = 1;
}

/* Repeating, since a signal just before a call that waits would be missed by that call. */
static void
set_timer(unsigned seconds)
{
	struct itimerval timer = {.it_value = {.tv_sec = seconds}, .it_interval = {.tv_sec = 1}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

void
limit_start(unsigned seconds)
{
	struct sigaction action = {.sa_handler = note};

	over = 0;
	sigaction(SIGALRM, &action, NULL);
	set_timer(seconds);
}

bool
limit_over(void)
{
	return over != 0;
}

void
limit_end(void)
{
	struct itimerval none = {.it_value = {.tv_sec = 0}};

	setitimer(ITIMER_REAL, &none, NULL);
}

ssize_t
limit_write(void *fd, const char *bytes, size_t len)
{
	ssize_t put;

	do {
		if (over) {
			errno = ETIMEDOUT;
			return -1;
		}
		put = write((int)(intptr_t)fd, bytes, len);
	} while (put < 0 && errno == EINTR);
	return put;
}
