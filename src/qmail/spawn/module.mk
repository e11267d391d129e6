PROGRAMS += qmail-lspawn
qmail-lspawn_SOURCES := spawn/qmail-lspawn.c spawn/spawn.c spawn/account.c send/share.c

PROGRAMS += qmail-getpw
qmail-getpw_SOURCES := spawn/qmail-getpw.c spawn/account.c

PROGRAMS += qmail-rspawn
qmail-rspawn_SOURCES := spawn/qmail-rspawn.c spawn/spawn.c spawn/report.c
