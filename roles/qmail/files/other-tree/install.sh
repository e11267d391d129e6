#!/bin/sh
# install.sh PREFIX LIST [PROGRAM...]: install what was built in the current directory, as a user without rights.
#
# The tree's own `make setup` wants to be root, and to write to the home in use. LIST names the programs that a tree
# may have; further ones are arguments. A page is a file whose name ends in a section of the manual.
set -eu
LC_ALL=C
export LC_ALL

prefix=$1 list=$2
shift 2

# A program may only be executed: whoever runs it, its process is then closed to others of the same user id. A script has
# to be read.
put() {
	mode=0711
	[ "$(head -c 2 -- "$1")" != '#!' ] || mode=0755
	install -m "$mode" "$1" "$prefix/bin/$1"
}

mkdir -p "$prefix/bin"
sed -e '/^#/d' -e 's/^! //' "$list" | while read -r name; do
	if [ -f "$name" ] && [ -x "$name" ]; then
		put "$name"
	fi
done
for name; do
	put "$name"
done

find . -type f -name '[a-z]*.[1578]' | while read -r page; do
	install -D -m 0644 "$page" "$prefix/man/man${page##*.}/${page##*/}"
done
find . -maxdepth 2 -type f \( -name 'README*' -o -name 'FAQ*' -o -name 'INSTALL*' -o -name 'CHANGES*' -o -name 'PIC.*' \
	-o -name 'SECURITY*' -o -name 'UPGRADE*' -o -name 'THANKS*' \) | while read -r text; do
	install -D -m 0644 "$text" "$prefix/doc/${text##*/}"
done
