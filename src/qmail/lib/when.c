/* Dates: see when.h. The months are ours, since the locale's must not matter. */
#include "lib/when.h"

void
when_822(struct str *to, time_t when)
{
	static const char months[12][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm utc;

	if (!gmtime_r(&when, &utc))
		utc = (struct tm){.tm_mday = 1, .tm_year = 70};
	str_addf(to, "%d %s %d %02d:%02d:%02d -0000", utc.tm_mday, months[utc.tm_mon],
	    utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

long long
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}
