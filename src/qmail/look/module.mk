PROGRAMS += qmail-showctl
qmail-showctl_SOURCES := look/qmail-showctl.c
