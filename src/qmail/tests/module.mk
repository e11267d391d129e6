TEST_PROGRAMS += test-lib
test-lib_SOURCES := tests/lib.c
test-lib_LIBS := -lcdb
