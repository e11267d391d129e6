#!/bin/sh
# link.sh OPTION|OBJECT|LIBRARY ...: link a program statically against musl, at a place in memory that each run chooses anew.
# musl-gcc's own specification can't do both.
set -eu
LC_ALL=C
export LC_ALL
musl=/usr/lib/$(uname -m)-linux-musl
exec gcc -nostdlib -static -Wl,-static,-pie,--no-dynamic-linker,-z,text,-z,relro,-z,now,-z,noexecstack,-z,separate-code \
    -L"$musl" "$musl/rcrt1.o" "$musl/crti.o" "$@" -lc -lgcc "$musl/crtn.o"
