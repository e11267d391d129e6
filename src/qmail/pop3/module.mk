PROGRAMS += qmail-popup qmail-pop3d
qmail-popup_SOURCES := pop3/qmail-popup.c pop3/command.c
qmail-pop3d_SOURCES := $(addprefix pop3/,qmail-pop3d.c command.c maildrop.c transmit.c)
