TEST_PROGRAMS += test-lib
test-lib_SOURCES := tests/lib.c
test-lib_LIBS := -lcdb

TEST_PROGRAMS += test-assign
test-assign_SOURCES := tests/assign.c
test-assign_LIBS := -lcdb
