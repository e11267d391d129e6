PROGRAMS += qmail-queue
qmail-queue_SOURCES := queue/qmail-queue.c queue/envelope.c

PROGRAMS += qmail-home
qmail-home_SOURCES := queue/qmail-home.c queue/layout.c
