PROGRAMS += qmail-tlsd
qmail-tlsd_SOURCES := $(addprefix tls/,qmail-tlsd.c bundle.c carry.c doors.c handshake.c place.c tickets.c serve.c sessions.c)
qmail-tlsd_LIBS := -lssl -lcrypto
