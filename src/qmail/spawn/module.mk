PROGRAMS += qmail-lspawn
LEAN_PROGRAMS += qmail-lspawn
qmail-lspawn_SOURCES := spawn/qmail-lspawn.c spawn/spawn.c spawn/account_pack.c send/share.c $(LOCAL)

PROGRAMS += qmail-lookup
qmail-lookup_SOURCES := spawn/qmail-lookup.c spawn/account.c spawn/account_pack.c

PROGRAMS += qmail-getpw
qmail-getpw_SOURCES := spawn/qmail-getpw.c spawn/account.c spawn/account_pack.c

PROGRAMS += qmail-rspawn
qmail-rspawn_SOURCES := spawn/qmail-rspawn.c spawn/spawn.c spawn/report.c
