#!/bin/sh
# verify.sh PREFIX: does the tcpserver installed in PREFIX accept, admit and refuse as its rules say?
# Runs real connections over the loopback interface, by IPv4 and (where the kernel has it) by IPv6.
set -eu
LC_ALL=C
export LC_ALL

bin=$1/bin
dir=$(mktemp -d)
server=
holders=
places=40
# shellcheck disable=SC2086 # each is one process
trap 'if [ -n "$server$holders" ]; then kill $server $holders 2>/dev/null || true; fi; rm -rf "$dir"' EXIT

fail() {
    echo "verify: $*" >&2
    exit 1
}

# expect WANTED ADDRESS: what a client that connects to ADDRESS reads
expect() {
    got=$("$bin/tcpclient" -RH -l x "$2" "$port" sh -c 'cat <&6') || got="no connection"
    [ "$got" = "$1" ] || fail "from $2: expected '$1', got '$got'"
    echo "verify: $2: ${1:-refused}"
}

# from ADDRESS WANTED: what a client with this address reads first; its session stays open
from() {
    : >"$dir/said"
    # shellcheck disable=SC2016 # the program behind tcpclient expands it
    "$bin/tcpclient" -RH -l x -i "$1" 127.0.0.1 "$port" \
        sh -c 'head -n 1 <&6 >"$0"; echo >>"$0"; exec sleep 600' "$dir/said" &
    holders="$holders $!"
    tries=0
    until [ "$(wc -l <"$dir/said")" -gt 0 ]; do
        tries=$((tries + 1))
        [ "$tries" -le 600 ] || fail "from $1: no answer"
        sleep 0.1
    done
    got=$(head -n 1 "$dir/said" | tr -d '\r')
    [ "$got" = "$2" ] || fail "from $1: expected '$2', got '$got'"
    echo "verify: $1: $2"
}

# serve HOST [PROGRAM]: tcpserver on a port of the kernel's choice
# shellcheck disable=SC2016 # the program behind tcpserver expands them
serve() {
    "$bin/tcpserver" -1RHv -l x -c "$places" -x "$dir/rules.cdb" "$1" 0 \
        sh -c "${2:-echo \"\$PROTO \$TCPREMOTEIP \$WHO\"}" >"$dir/port" 2>>"$dir/log" &
    server=$!
    tries=0
    until [ -s "$dir/port" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 600 ] || fail "tcpserver on $1 does not listen: $(cat "$dir/log")"
        sleep 0.1
    done
    read -r port <"$dir/port"
}

stop() {
    kill "$server"
    wait "$server" || true
    server=
    : >"$dir/port"
}

printf '%s\n' '127.0.0.1:allow,WHO="four"' '127.0.0.:deny' '::1:allow,WHO="six"' ':deny' |
    "$bin/tcprules" "$dir/rules.cdb" "$dir/rules.tmp"
TCPREMOTEIP=127.0.0.7 "$bin/tcprulescheck" "$dir/rules.cdb" | grep -q '^deny' || fail "tcprulescheck admits 127.0.0.7"
if echo '127.0.0.1 allow' | timeout 5 "$bin/tcprules" "$dir/bad.cdb" "$dir/bad.tmp" 2>"$dir/bad.log"; then
    fail "tcprules takes a line without a colon"
fi
grep -q 'unable to parse' "$dir/bad.log" || fail "tcprules does not name a bad line"

serve 127.0.0.1
expect 'TCP 127.0.0.1 four' 127.0.0.1
stop

# The wildcard, as the services listen: both families on one socket, IPv4 clients by their IPv4 address.
serve 0
expect 'TCP 127.0.0.1 four' 127.0.0.1
if grep -q '^0*1 ' /proc/net/if_inet6 2>/dev/null; then
    expect 'TCP6 ::1 six' ::1
else
    echo "verify: no IPv6 loopback address here, so no connection by IPv6"
fi
stop

# Groups: a list that is not understood ends it, and so does a group that it can't have, before it accepts anybody.
for list in 5,x "5," 0 4294967295; do
    code=0
    timeout 5 "$bin/tcpserver" -g 5 -u 5 -G "$list" 127.0.0.1 0 true 2>>"$dir/log" || code=$?
    [ "$code" -eq 100 ] || fail "tcpserver takes -G $list (exit code $code)"
done
code=0
timeout 5 "$bin/tcpserver" -G 5 127.0.0.1 0 true 2>>"$dir/log" || code=$?
[ "$code" -eq 100 ] || fail "tcpserver takes -G without -u and -g (exit code $code)"
code=0
timeout 5 "$bin/tcpserver" -u "$(id -u)" -g "$(id -g)" -G 5 127.0.0.1 0 true 2>>"$dir/log" || code=$?
[ "$code" -eq 111 ] || fail "tcpserver goes on without the groups that it was to set (exit code $code)"

# What was started beside it ends it with -W, whether before it waits for anybody or later; without -W it goes on.
beside() { # SECONDS OPTIONS...: start it as a child of a sleep's parent, and print how it ends
    seconds=$1
    shift
    code=0
    # shellcheck disable=SC2016 # the inner shell expands them
    timeout 5 sh -c 'seconds=$1; shift; sleep "$seconds" & exec "$@"' sh "$seconds" \
        "$bin/tcpserver" "$@" 127.0.0.1 0 true 2>>"$dir/log" || code=$?
    echo "$code"
}
[ "$(beside 1 -W)" -eq 111 ] || fail "tcpserver -W goes on without what stands beside it"
[ "$(beside 1)" -eq 124 ] || fail "tcpserver ends with a process that it knows nothing of"

# So many sessions of an address (2) and of a network (4), unless the rules say otherwise; who has enough is told so.
printf '%s\n' '127.0.1.:allow,MAXCONNIP="1"' '127.0.2.9:deny' | "$bin/tcprules" "$dir/doors.cdb" "$dir/rules.tmp"
echo ':allow' | "$bin/tcprules" "$dir/rules.cdb" "$dir/rules.tmp"
MAXCONNIP=2 MAXCONNNET=4 MAXCONNSAY='421 x' DOORRULES=$dir/doors.cdb
export MAXCONNIP MAXCONNNET MAXCONNSAY DOORRULES
# What the servers before this one said of their last sessions, they may not have said to the end.
: >"$dir/log"
# shellcheck disable=SC2016 # the program behind tcpserver expands them
serve 127.0.0.1 'echo "in$MAXCONNIP$DOORRULES"; exec cat'
from 127.0.0.5 in
from 127.0.0.5 in
from 127.0.0.5 '421 x too many connections from your address'
from 127.0.0.6 in
from 127.0.0.7 in
from 127.0.0.8 '421 x too many connections from your network'
from 127.0.1.5 in
from 127.0.1.5 '421 x too many connections from your address'
from 127.0.2.9 ''
from 127.0.2.8 in
# The sessions that end make room.
# shellcheck disable=SC2086 # each is one process
kill $holders
holders=
tries=0
until grep -q 'status: 0/' "$dir/log" && [ "$(grep -c ': end ' "$dir/log")" -ge "$(grep -c ': ok ' "$dir/log")" ]; do
    tries=$((tries + 1))
    [ "$tries" -le 600 ] || fail 'sessions do not end with their clients'
    sleep 0.1
done
from 127.0.0.5 in
stop
! grep -q ': pid ' "$dir/log" || fail 'who comes is told twice, though nothing was looked up'

# Who has one of the last places is told so, and nobody else.
MAXCONNIP=0 MAXCONNNET=0 places=4
# shellcheck disable=SC2016 # the program behind tcpserver expands it
serve 127.0.0.1 'echo "in$TCPCROWDED"; exec cat'
from 127.0.0.5 in
from 127.0.0.6 in
from 127.0.0.7 in
from 127.0.0.8 in1
stop
