SMTPD_SOURCES := $(addprefix smtpd/,qmail-smtpd.c anew.c auth.c authors.c bykey.c command.c complete.c config.c data.c dnspacket.c door.c \
	handin.c handover.c lookup.c loop.c message.c path.c patience.c plain.c policy.c received.c recipient.c resident.c \
	results.c returned.c sender.c session.c starttls.c transaction.c) \
	send/route.c inject/lexer.c inject/rewrite.c filters/list.c

PROGRAMS += qmail-smtpd
LEAN_PROGRAMS += qmail-smtpd
qmail-smtpd_SOURCES := $(SMTPD_SOURCES) smtpd/become_full.c

PROGRAMS += qmail-smtpd-full
qmail-smtpd-full_SOURCES := $(SMTPD_SOURCES) smtpd/encrypt.c
