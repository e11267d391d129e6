# The library itself is every lib/*.c. This is what of it needs a library that there is for glibc alone.
LEAN_WITHOUT := $(addprefix lib/,idn_convert.c tls.c)

FUZZ_TARGETS += cdb base64 reason srs
fuzz_cdb_LIBS := -lcdb
