#!/bin/sh
# configure.sh HOME SPLIT: write the conf-* files of the tree in the current directory.
#
# The first lines of these files are what counts. Compiler and linker come by TREE_CC and TREE_LD. What a tree says for its
# compiler may be part of its code (-DTLS, -I): it stays, in front of our options, of which the last word counts. Of what it
# says for its linker the libraries stay.
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

# options LINE: what stands behind the compiler's name, as it stands there: a shell will read it.
options() {
	case $1 in
	*" -"*) printf '%s\n' "-${1#* -}" ;;
	esac
}

theirs=$(options "$(head -n 1 conf-cc)")
libraries=$(options "$(head -n 1 conf-ld)" | tr -s '[:space:]' '\n' | grep '^-[Ll]' | tr '\n' ' ' || :)
printf '%s\n' "${TREE_CC%% -*} $theirs $(options "$TREE_CC")" >conf-cc
printf '%s\n' "$TREE_LD $libraries" >conf-ld
