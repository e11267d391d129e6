PROGRAMS += qmail-queue
qmail-queue_SOURCES := queue/qmail-queue.c queue/envelope.c

PROGRAMS += qmail-home
qmail-home_SOURCES := queue/qmail-home.c queue/layout.c

PROGRAMS += qmail-send
qmail-send_SOURCES := queue/qmail-send.c queue/intake.c queue/attempt.c queue/ending.c queue/scan.c \
	queue/bounce.c queue/book.c queue/cleaner.c queue/courier.c queue/heap.c queue/record.c \
	queue/route.c queue/sendlog.c

PROGRAMS += qmail-clean
qmail-clean_SOURCES := queue/qmail-clean.c
