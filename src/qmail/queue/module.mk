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

PROGRAMS += qmail-lspawn
qmail-lspawn_SOURCES := queue/qmail-lspawn.c queue/spawn.c queue/account.c
qmail-lspawn_LIBS := -lcdb

PROGRAMS += qmail-getpw
qmail-getpw_SOURCES := queue/qmail-getpw.c queue/account.c
qmail-getpw_LIBS := -lcdb

PROGRAMS += qmail-rspawn
qmail-rspawn_SOURCES := queue/qmail-rspawn.c queue/spawn.c queue/report.c

PROGRAMS += qmail-start
qmail-start_SOURCES := queue/qmail-start.c
FUZZ_TARGETS += envelope
fuzz_envelope_SOURCES := queue/envelope.c
