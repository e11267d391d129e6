PROGRAMS += qmail-send
qmail-send_SOURCES := send/qmail-send.c send/intake.c send/attempt.c send/ending.c send/scan.c send/state.c \
	send/bounce.c send/messages.c send/courier.c send/heap.c send/route.c send/share.c send/pause.c send/sendlog.c \
	queue/cleaner.c queue/record.c

PROGRAMS += qmail-start
qmail-start_SOURCES := send/qmail-start.c
