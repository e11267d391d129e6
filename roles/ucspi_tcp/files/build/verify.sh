#!/bin/sh
# verify.sh PREFIX: does the tcpserver installed in PREFIX accept, admit and refuse as its rules say?
# Runs real connections over the loopback interface, by IPv4 and (where the kernel has it) by IPv6.
set -eu
LC_ALL=C
export LC_ALL

bin=$1/bin
dir=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server"; fi; rm -rf "$dir"' EXIT

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

# serve HOST: tcpserver on a port of the kernel's choice
serve() {
    # shellcheck disable=SC2016 # the program behind tcpserver expands them
    "$bin/tcpserver" -1RHv -l x -x "$dir/rules.cdb" "$1" 0 \
        sh -c 'echo "$PROTO $TCPREMOTEIP $WHO"' >"$dir/port" 2>>"$dir/log" &
    server=$!
    tries=0
    until [ -s "$dir/port" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 50 ] || fail "tcpserver on $1 does not listen: $(cat "$dir/log")"
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
