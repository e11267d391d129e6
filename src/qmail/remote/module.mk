PROGRAMS += qmail-remote
qmail-remote_SOURCES := $(addprefix remote/,qmail-remote.c session.c dialogue.c forwarded.c starttls.c \
	auth.c security.c policy.c dane.c sts.c outcome.c bydomain.c message.c encode.c reply.c \
	report.c envelope.c connection.c target.c route.c dns.c answer.c settings.c)
qmail-remote_LIBS := -lcares

FUZZ_TARGETS += sts_answer smtp_reply dns_answer smtp_encode routes address forwarded
fuzz_smtp_reply_SOURCES := remote/reply.c
fuzz_dns_answer_SOURCES := remote/answer.c remote/dane.c remote/dns.c
fuzz_sts_answer_SOURCES := remote/sts.c
fuzz_dns_answer_LIBS := -lcares
fuzz_smtp_encode_SOURCES := remote/encode.c smtpd/data.c
fuzz_routes_SOURCES := remote/route.c remote/bydomain.c
fuzz_forwarded_SOURCES := remote/forwarded.c remote/bydomain.c
fuzz_address_SOURCES := remote/envelope.c smtpd/path.c

PROGRAMS += qmail-tcpto
qmail-tcpto_SOURCES := remote/qmail-tcpto.c

PROGRAMS += qmail-tcpok
qmail-tcpok_SOURCES := remote/qmail-tcpok.c
