TEST_PROGRAMS += test-lib
test-lib_SOURCES := tests/lib.c
test-lib_LIBS := -lcdb

TEST_PROGRAMS += test-assign
test-assign_SOURCES := tests/assign.c
test-assign_LIBS := -lcdb

# Preloaded by tests: whose programs wait for hours, what they put on disk, how much they ask for.
test-programs: $(BUILD)/fastclock.so $(BUILD)/synced.so $(BUILD)/counted.so $(BUILD)/stale.so $(BUILD)/steps.so
$(BUILD)/%.so: tests/lab/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c17 $(WARNINGS) -O1 -fPIC -shared -o $@ $<
