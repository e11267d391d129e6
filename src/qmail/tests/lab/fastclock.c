/*
 * Preloaded into a program of the suite: its clock runs FASTCLOCK times as fast, so that a limit of
 * a day can be waited for. The times of files are still those of the real clock.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long factor = 1;
static struct timespec start;

__attribute__((constructor)) static void
begin(void)
{
	const char *wanted = getenv("FASTCLOCK");

	if (wanted)
		factor = strtol(wanted, NULL, 10);
	clock_gettime(CLOCK_REALTIME, &start);
}

static struct timespec
shortened(time_t seconds, long nanoseconds)
{
	return (struct timespec){.tv_sec = seconds / factor,
	    .tv_nsec = (seconds % factor * 1000000000L + nanoseconds) / factor};
}

time_t
time(time_t *where)
{
	struct timespec now;
	time_t faster;

	clock_gettime(CLOCK_REALTIME, &now);
	faster = start.tv_sec + (now.tv_sec - start.tv_sec) * factor +
		 (now.tv_nsec - start.tv_nsec) / 1000 * factor / 1000000;
	if (where)
		*where = faster;
	return faster;
}

unsigned
alarm(unsigned seconds)
{
	struct timespec wait = shortened(seconds, 0);
	struct itimerval timer = {.it_value = {wait.tv_sec, wait.tv_nsec / 1000}};

	setitimer(ITIMER_REAL, &timer, NULL);
	return 0;
}

int
ppoll(struct pollfd *files, nfds_t count, const struct timespec *limit, const sigset_t *mask)
{
	struct timespec wait = {0};

	if (limit)
		wait = shortened(limit->tv_sec, limit->tv_nsec);
	return (int)syscall(SYS_ppoll, files, count, limit ? &wait : NULL, mask, _NSIG / 8);
}
