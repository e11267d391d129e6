LOCAL_DELIVERY := local/outcome.c local/message.c local/resend.c local/program.c

PROGRAMS += qmail-local
qmail-local_SOURCES := local/qmail-local.c local/delivery.c local/dotfile.c local/dotqmail.c \
	local/limit.c local/maildir.c local/mbox.c $(LOCAL_DELIVERY)
