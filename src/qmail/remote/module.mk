PROGRAMS += qmail-remote
qmail-remote_SOURCES := $(addprefix remote/,qmail-remote.c session.c dialogue.c starttls.c \
	auth.c security.c bydomain.c message.c encode.c reply.c \
	report.c envelope.c link.c target.c route.c dns.c answer.c settings.c)
qmail-remote_LIBS := -lcares
