INJECT_HEADER := inject/compose.c inject/header.c inject/lexer.c inject/rewrite.c inject/settings.c

PROGRAMS += qmail-inject
qmail-inject_SOURCES := inject/qmail-inject.c $(INJECT_HEADER)

PROGRAMS += sendmail
sendmail_SOURCES := inject/sendmail.c inject/lexer.c inject/rewrite.c
