/* What qmail-send's parts hand to each other: see state.h. */
#include "send/state.h"

#include "queue/cleaner.h"
#include "send/sendlog.h"

const char *const channel_names[CHANNEL_COUNT] = {"local", "remote"};

void
wake_at(struct send *s, time_t when)
{
	if (when < s->wake)
		s->wake = when;
}

void
pass_due(struct send *s, enum channel channel, struct message *m, time_t when)
{
	heap_add(&s->due[channel][m->fresh ? DUE_FRESH : DUE_AGAIN], when, m);
}

time_t
pass_after_this(const struct send *s, enum channel channel, const struct message *m)
{
	return next_attempt(m->birth, s->now, channel == CHANNEL_LOCAL ? 10 : 20);
}

void
message_end_if_done(struct send *s, struct message *m)
{
	if (m->open[CHANNEL_LOCAL] || m->open[CHANNEL_REMOTE])
		return;
	m->state = MESSAGE_ENDING;
	heap_add(&s->endings, s->now, m);
}

bool
clean_up(struct send *s, char kind, const unsigned long *ids, size_t count, char *answers)
{
	if (cleaner_ask(s->clean_to, s->clean_from, kind, ids, count, answers))
		return true;
	log_line("alert: lost connection to qmail-clean, ending");
	s->lost = s->unclean = true;
	return false;
}

void
status_changed(struct send *s)
{
	s->status_wanted = true;
}

void
status_step(struct send *s)
{
	if (!s->status_wanted)
		return;
	if (s->now == s->status_said && !s->leaving) {
		wake_at(s, s->now + 1);
		return;
	}
	s->status_wanted = false;
	s->status_said = s->now;
	log_status(s);
}

void
log_status(const struct send *s)
{
	const struct courier *local = &s->couriers[CHANNEL_LOCAL];
	const struct courier *remote = &s->couriers[CHANNEL_REMOTE];

	log_line("status: local %u/%u remote %u/%u%s", local->busy, local->limit, remote->busy,
	    remote->limit, s->leaving ? " exitasap" : "");
}
