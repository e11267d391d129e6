#!/bin/bash
# usage: end-programs.sh PACKAGE ...: end every process that runs a program of these packages, and wait for it.
#
# A service's own stop knows the processes that its pid file names. One that still waits for a port that another has, as exim
# does for five minutes, has none yet, and would take the port at the first occasion. Processes are told by the file that they
# run, not by a name, so one in a container with a root of its own is another's.
set -u
LC_ALL=C
wait=10 # seconds for them to end after TERM

of_them() {
    dpkg-query --listfiles "$@" 2>/dev/null | while read -r path; do
        if [ ! -f "$path" ] || [ -L "$path" ] || [ ! -x "$path" ]; then continue; fi
        for program in /proc/[0-9]*/exe; do
            [ ! "$program" -ef "$path" ] || echo "$program" | cut -d / -f 3
        done
    done
}

left=$(of_them "$@")
[ -n "$left" ] || exit 0
# shellcheck disable=SC2086 # pids
kill -s TERM $left 2>/dev/null
# shellcheck disable=SC2086 # one line
echo "told to end:" $left
while [ -n "$(of_them "$@")" ]; do
    if [ "$wait" -le 0 ]; then
        # shellcheck disable=SC2046 # words
        echo "still runs after TERM, of $*: pid" $(of_them "$@") "; end it, then run the play again" >&2
        exit 1
    fi
    wait=$((wait - 1))
    sleep 1
done
