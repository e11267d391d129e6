# The library itself is every lib/*.c; here are the fuzz targets that need no more than it.
FUZZ_TARGETS += cdb base64 reason
fuzz_cdb_LIBS := -lcdb
