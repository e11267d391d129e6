#!/bin/sh
# authority.sh DIRECTORY NAME[,NAME...]...: an authority, and of each group of names a certificate and its key, called by the first.
set -eu
umask 077
mkdir -p "$1"
cd "$1"
shift
new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
if ! [ -e authority.pem ]; then
    new_key authority.key
    openssl req -x509 -new -key authority.key -subj '/CN=Authority of this world' -days 3650 -out authority.pem \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
fi
for names; do
    name=${names%%,*}
    [ -e "$name.pem" ] && continue
    new_key "$name.key"
    openssl req -new -key "$name.key" -subj "/CN=$name" |
        openssl x509 -req -CA authority.pem -CAkey authority.key -days 90 -out "$name.new" -extfile /dev/fd/3 3<<EXTENSIONS
basicConstraints=critical,CA:FALSE
extendedKeyUsage=serverAuth
subjectAltName=DNS:$(echo "$names" | sed 's/,/,DNS:/g')
EXTENSIONS
    cat authority.pem >>"$name.new"
    mv "$name.new" "$name.pem"
done
