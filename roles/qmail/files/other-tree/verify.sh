#!/bin/sh
# verify.sh PREFIX LIST HOME: does PREFIX hold a suite that can be put to use at HOME?
#
# TREE_FEATURES are the abilities that were declared for it: a program that lacks one doesn't know its word.
set -eu
LC_ALL=C
export LC_ALL

prefix=$1 list=$2 home=$3

sed -n 's/^! //p' "$list" | while read -r name; do
	[ -x "$prefix/bin/$name" ] || {
		echo "the tree built no $name, without which there is no qmail"
		exit 1
	}
done
grep -qaF "$home" "$prefix/bin/qmail-queue" || {
	echo "qmail-queue does not know the home $home: did the tree take conf-qmail?"
	exit 1
}
for feature in $TREE_FEATURES; do
	case $feature in
	auth) word=AUTH ;;
	authfilters) word=AUTHQMAILQUEUE ;;
	filters) word=QMAILQUEUE ;;
	starttls) word=STARTTLS ;;
	esac
	grep -qaF "$word" "$prefix/bin/qmail-smtpd" || {
		echo "qmail_features names $feature, but qmail-smtpd does not know $word"
		exit 1
	}
done
