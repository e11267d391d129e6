PROGRAMS += qmail-queue
LEAN_PROGRAMS += qmail-queue
qmail-queue_SOURCES := queue/qmail-queue.c queue/entry.c queue/envelope.c

PROGRAMS += qmail-queued
LEAN_PROGRAMS += qmail-queued
qmail-queued_SOURCES := queue/qmail-queued.c queue/entry.c queue/envelope.c

PROGRAMS += qmail-home
qmail-home_SOURCES := queue/qmail-home.c queue/contents.c queue/layout.c

PROGRAMS += qmail-clean
qmail-clean_SOURCES := queue/qmail-clean.c

PROGRAMS += qmail-qread
qmail-qread_SOURCES := queue/qmail-qread.c queue/walk.c queue/record.c

PROGRAMS += qmail-qstat
qmail-qstat_SOURCES := queue/qmail-qstat.c queue/walk.c

TEST_PROGRAMS += test-queue
test-queue_SOURCES := tests/queue.c send/route.c send/heap.c spawn/account.c spawn/account_pack.c spawn/report.c send/messages.c send/pause.c \
	send/share.c queue/envelope.c

FUZZ_TARGETS += envelope
fuzz_envelope_SOURCES := queue/envelope.c
