PROGRAMS += qmail-smtpd
qmail-smtpd_SOURCES := $(addprefix smtpd/,qmail-smtpd.c auth.c command.c config.c data.c starttls.c \
	loop.c message.c path.c patience.c plain.c policy.c received.c session.c transaction.c) \
	send/route.c
qmail-smtpd_LIBS := -lcdb
