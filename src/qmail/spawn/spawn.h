/*
 * What qmail-lspawn and qmail-rspawn have in common: they take deliveries from qmail-send
 * on descriptor 0, run a program for each with the message on its descriptor 0, collect
 * what it prints on 1 and 2, and report on descriptor 1. The protocol is in courier.h.
 *
 * A delivery ends when its program has ended, whatever processes that left behind with the
 * descriptors open. One that takes longer than its kind may is ended, with all that it has
 * started. At the end of descriptor 0 the running programs are waited for.
 */
#ifndef SPAWN_SPAWN_H
#define SPAWN_SPAWN_H

#include "lib/str.h"

#include <sys/types.h>

#define SPAWN_SLOTS 500 /* as many as a courier may ask for */

struct task {
	enum { TASK_IDLE, TASK_WAITING, TASK_RUNNING } state;
	unsigned slot;
	bool asked; /* for the kind's use; false at first */
	unsigned long id;
	struct str sender, recipient;
	uid_t uid; /* whom it runs as */
	pid_t pid;
	long long end; /* by clock_ms, when it is ended */
	pid_t ender;   /* who does that; 0: nobody, not yet or not any more */
	bool expired;
	int output;
	struct str report;
};

struct spawn_kind {
	/*
	 * Called for a new delivery: spawn_run or spawn_answer now, or later, once what was
	 * asked for has come.
	 */
	void (*begin)(struct task *task);
	/* Turns an exit status (of wait) and the output into a report, letter first. */
	void (*conclude)(int status, const struct str *output, struct str *report);
	/* Another descriptor to wait for (-1: none now), and what to do when it can be read;
	 * NULL where there never is one. */
	int (*extra)(void);
	void (*heard)(void);
	unsigned seconds; /* that a program may take; 0: as many as it likes */
};

/* Runs until qmail-send is gone; the exit code. */
int spawn_serve(const struct spawn_kind *kind);

/* The number-th task, waiting for spawn_run, or NULL. */
struct task *spawn_waiting(unsigned slot);
typedef int spawn_main(int count, char **arguments);

/* What runs a delivery. */
struct spawn_program {
	char **arguments; /* NULL-terminated; the first is its name */
	/* Is called for it with its arguments, and gives its exit code; NULL: bin/NAME is executed.
	 */
	spawn_main *main;
	uid_t uid; /* whom it runs as; 0, with gid 0, leaves the process what it is */
	gid_t gid;
};

/* Opens the message, and runs the program in a child of ours with it on descriptor 0. */
void spawn_run(struct task *task, const struct spawn_program *program);
/* Reports without having run anything. */
void spawn_answer(struct task *task, const char *report);
/* Says something about a delivery that goes on. */
void spawn_note(const struct task *task, const char *note);
/* The slots from this one on have never been asked for: none of them is waiting. */
unsigned spawn_reach(void);
/* How many programs run as uid. */
unsigned spawn_running(uid_t uid);

#endif
