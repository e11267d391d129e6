PROGRAMS += qmail-queue
qmail-queue_SOURCES := queue/qmail-queue.c queue/envelope.c

PROGRAMS += qmail-home
qmail-home_SOURCES := queue/qmail-home.c queue/layout.c

PROGRAMS += qmail-send
qmail-send_SOURCES := queue/qmail-send.c queue/intake.c queue/attempt.c queue/ending.c queue/scan.c \
	queue/bounce.c queue/book.c queue/cleaner.c queue/courier.c queue/heap.c queue/record.c \
	queue/route.c queue/sendlog.c queue/share.c

PROGRAMS += qmail-clean
qmail-clean_SOURCES := queue/qmail-clean.c

PROGRAMS += qmail-lspawn
qmail-lspawn_SOURCES := queue/qmail-lspawn.c queue/spawn.c queue/account.c queue/share.c
qmail-lspawn_LIBS := -lcdb

PROGRAMS += qmail-getpw
qmail-getpw_SOURCES := queue/qmail-getpw.c queue/account.c
qmail-getpw_LIBS := -lcdb

PROGRAMS += qmail-rspawn
qmail-rspawn_SOURCES := queue/qmail-rspawn.c queue/spawn.c queue/report.c

PROGRAMS += qmail-start
qmail-start_SOURCES := queue/qmail-start.c

PROGRAMS += qmail-qread
qmail-qread_SOURCES := queue/qmail-qread.c queue/walk.c queue/record.c

PROGRAMS += qmail-qstat
qmail-qstat_SOURCES := queue/qmail-qstat.c queue/walk.c

PROGRAMS += qmail-tcpto
qmail-tcpto_SOURCES := queue/qmail-tcpto.c

PROGRAMS += qmail-tcpok
qmail-tcpok_SOURCES := queue/qmail-tcpok.c

TEST_PROGRAMS += test-queue
test-queue_SOURCES := tests/queue.c queue/route.c queue/heap.c queue/account.c queue/report.c queue/book.c \
	queue/envelope.c queue/share.c
test-queue_LIBS := -lcdb

FUZZ_TARGETS += envelope
fuzz_envelope_SOURCES := queue/envelope.c
