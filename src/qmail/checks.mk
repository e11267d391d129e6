# Longer or pickier checks than `make test`:
#
#   make fuzz-run   run each fuzz target RUNS times, or only those in TARGETS; print the numbers
#   make analyze    gcc's -fanalyzer over every source, each warning an error
#   make tidy       clang-tidy over every source, as .clang-tidy says, each warning an error

RUNS ?= 100000
TARGETS ?= $(FUZZ_TARGETS)
CLANG_TIDY ?= clang-tidy-14
SOURCES := $(sort $(filter-out build%,$(wildcard */*.c tests/lab/*.c)))

# What a run finds goes to build-fuzz; the corpus in the repository stays as it is.
fuzz-run: fuzz
	@set -e; for t in $(TARGETS); do \
		mkdir -p build-fuzz/corpus/$$t; \
		build-fuzz/fuzz/$$t -runs=$(RUNS) -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
			-verbosity=0 -artifact_prefix=build-fuzz/$$t- -print_final_stats=1 \
			build-fuzz/corpus/$$t fuzz/corpus/$$t >build-fuzz/$$t.log 2>&1 || \
			{ cat build-fuzz/$$t.log; exit 1; }; \
		awk -v target=$$t '/number_of_executed_units/ {runs = $$2} /exec_per_sec/ {speed = $$2} \
			END {print target ": " runs " executions, " speed " a second, no finding"}' \
			build-fuzz/$$t.log; \
	done

# The descriptors that qmail-start puts in their places are meant to stay open: the next program has them. GCC 14 takes
# each for a leak; GCC 12 doesn't know the option, and says so only where it has something else to say.
analyze:
	@bad=0; for source in $(SOURCES); do \
		case $$source in send/qmail-start.c) known=-Wno-analyzer-fd-leak ;; *) known= ;; esac; \
		$(CC) $(CPPFLAGS) -std=c17 $(WARNINGS) -Werror -O2 -fanalyzer $$known -c -o /dev/null $$source || bad=1; \
	done; exit $$bad

tidy:
	$(CLANG_TIDY) --quiet $(SOURCES) -- $(CPPFLAGS) -std=c17

.PHONY: fuzz-run analyze tidy
