PROGRAMS += qmail-popup qmail-pop3d
qmail-popup_SOURCES := $(addprefix pop3/,qmail-popup.c command.c session.c)
qmail-pop3d_SOURCES := $(addprefix pop3/,qmail-pop3d.c command.c maildrop.c session.c sizes.c transmit.c)
