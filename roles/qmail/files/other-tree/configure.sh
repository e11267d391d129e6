#!/bin/sh
# configure.sh HOME SPLIT: write the conf-* files of the tree in the current directory.
#
# The first lines of these files are what counts. Compiler and linker come by TREE_CC and TREE_LD.
set -eu
LC_ALL=C
export LC_ALL

for file in Makefile conf-qmail conf-users conf-groups conf-cc conf-ld conf-split; do
	[ -f "$file" ] || {
		echo "not a tree of qmail-1.03's shape: it has no $file"
		exit 1
	}
done
printf '%s\n' "$1" >conf-qmail
printf '%s\n' "$2" >conf-split
printf '%s\n' alias qmaild qmaill root qmailp qmailq qmailr qmails >conf-users
printf '%s\n' qmail nofiles >conf-groups
printf '%s\n' "$TREE_CC" >conf-cc
printf '%s\n' "$TREE_LD" >conf-ld
