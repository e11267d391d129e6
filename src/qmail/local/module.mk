LOCAL_DELIVERY := local/outcome.c local/message.c local/resend.c local/program.c
LOCAL := $(addprefix local/,local.c delivery.c dotfile.c dotqmail.c limit.c maildir.c maildirname.c mbox.c quota.c warning.c) $(LOCAL_DELIVERY)

PROGRAMS += qmail-local
LEAN_PROGRAMS += qmail-local
qmail-local_SOURCES := local/qmail-local.c $(LOCAL)

LOCAL_HELPERS := forward except condredirect bouncesaying preline
PROGRAMS += $(LOCAL_HELPERS)
$(foreach p,$(LOCAL_HELPERS),$(eval $(p)_SOURCES := local/$(p).c local/helper.c $(LOCAL_DELIVERY)))

PROGRAMS += maildirmake
maildirmake_SOURCES := local/maildirmake.c

PROGRAMS += qmail-list
qmail-list_SOURCES := local/qmail-list.c local/listmail.c local/helper.c inject/header.c $(LOCAL_DELIVERY)
