/*
 * Preloaded into a program of the suite: its clock runs FASTCLOCK times as fast, so that a limit of
 * a day can be waited for. The times of files are still those of the real clock.
 *
 * FASTWAITS does so with the clock that only goes forward, and the waits of poll(2), which most
 * programs have for their limits.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long factor = 1, waits = 1;
static struct timespec start, forward;

__attribute__((constructor)) static void
begin(void)
{
	const char *wanted = getenv("FASTCLOCK");

	if (wanted)
		factor = strtol(wanted, NULL, 10);
	clock_gettime(CLOCK_REALTIME, &start);
	clock_gettime(CLOCK_MONOTONIC, &forward);
	wanted = getenv("FASTWAITS");
	if (wanted)
		waits = strtol(wanted, NULL, 10);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int done = (int)syscall(SYS_clock_gettime, clock, now);
	long long since;

	if (done < 0 || clock != CLOCK_MONOTONIC || waits == 1)
		return done;
	since = ((now->tv_sec - forward.tv_sec) * 1000000000LL + now->tv_nsec - forward.tv_nsec) *
		waits;
	since += forward.tv_nsec;
	now->tv_sec = forward.tv_sec + since / 1000000000;
	now->tv_nsec = since % 1000000000;
	return done;
}

int
poll(struct pollfd *files, nfds_t count, int limit)
{
	const struct timespec wait = {
	    .tv_sec = limit / waits / 1000, .tv_nsec = limit / waits % 1000 * 1000000};

	return (int)syscall(SYS_ppoll, files, count, limit < 0 ? NULL : &wait, NULL, _NSIG / 8);
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
