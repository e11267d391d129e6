/*
 * qmail-rspawn: runs qmail-remote for qmail-send's remote deliveries and makes one report
 * of what it says. See qmail-rspawn(8), qmail-remote(8) and spawn.h.
 */
#include "lib/bio.h"
#include "lib/descriptors.h"
#include "lib/identity.h"
#include "spawn/report.h"
#include "spawn/spawn.h"

#include <sys/stat.h>
#include <sys/wait.h>

static void
begin(struct task *task)
{
	static char name[] = "qmail-remote";
	size_t at = str_rfind(&task->recipient, '@');

	if (at == task->recipient.len) {
		spawn_answer(task, "DThe address has no host name. (#5.1.3)\n");
		return;
	}
	{
		char *arguments[] = {
		    name, task->recipient.s + at + 1, task->sender.s, task->recipient.s, NULL};
		const struct spawn_program program = {.arguments = arguments};

		spawn_run(task, &program);
	}
}

static void
conclude(int status, const struct str *output, struct str *report)
{
	if (WIFEXITED(status))
		report_remote(WEXITSTATUS(status), output->s, output->len, report);
	else
		str_set(report, "Zqmail-remote crashed.\n");
}

int
main(void)
{
	const struct spawn_kind kind = {begin, conclude, NULL, NULL, 0};

	process_closed();
	umask(077);
	return home_enter() ? spawn_serve(&kind) : 111;
}
