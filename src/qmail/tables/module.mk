TABLE_COMPILERS := qmail-newu qmail-newmrh qmail-newvrt
PROGRAMS += $(TABLE_COMPILERS) qmail-pw2u
$(foreach p,$(TABLE_COMPILERS),$(eval $(p)_SOURCES := tables/$(p).c tables/compile.c) \
	$(eval $(p)_LIBS := -lcdb))
qmail-pw2u_SOURCES := tables/qmail-pw2u.c
