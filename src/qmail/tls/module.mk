PROGRAMS += qmail-tlsd
qmail-tlsd_SOURCES := $(addprefix tls/,qmail-tlsd.c bundle.c carry.c doors.c handshake.c tickets.c serve.c)
qmail-tlsd_LIBS := -lssl -lcrypto
