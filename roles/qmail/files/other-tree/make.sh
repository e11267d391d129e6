#!/bin/sh
# make.sh: build the tree in the current directory: its programs, and its pages where it has targets for them.
set -eu
LC_ALL=C
export LC_ALL

make it
for target in man catman doc; do
	if make --dry-run "$target" >/dev/null 2>&1; then
		make "$target"
	fi
done
