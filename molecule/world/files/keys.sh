#!/bin/sh
# keys.sh DIRECTORY ZONE...: a key for each zone, and on standard output what the zone above it says of it (DS).
set -eu
cd "$1"
shift
for zone; do
    set -- "K$zone+013+"*.key
    if ! [ -e "$1" ]; then
        dnssec-keygen -q -a ECDSAP256SHA256 -f KSK "$zone" >/dev/null
        set -- "K$zone+013+"*.key
    fi
    dnssec-dsfromkey -2 "$1"
done
