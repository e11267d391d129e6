#!/bin/sh
# smoke.sh HI-Q ...: a message through each installed program, with a double of qmail-queue: passed on, refused, and
# unfiltered. The programs are given by their absolute paths.
set -eu
LC_ALL=C
export LC_ALL
# What is executed below may not be so in /tmp.
top=$(mktemp -d "$PWD/smoke.XXXXXX")
trap 'rm -rf "$top"' EXIT
cd "$top"
umask 022
passed=0

cat >qmail-queue <<'END'
#!/bin/sh
cat >message
cat <&1 >envelope
test -s envelope || exit 54
END
printf '#!/bin/sh\ncat\nprintf Dno >&6\nexit 1\n' >refuse
chmod +x qmail-queue refuse
printf 'Subject: smoke\n\nA message.\n' >given

# send EXPECTED-CODE: the list in `filters` gives this exit code.
send() {
	"$program" --check --filters filters --queue "$top/qmail-queue" >/dev/null
	code=0
	printf 'Fa@example.test\0Tb@example.test\0\0' >sent
	rm -f message envelope
	# shellcheck disable=SC2094 # descriptor 1 is where the envelope is read from
	"$program" --filters filters --queue "$top/qmail-queue" <given 1<sent 6>reason || code=$?
	[ "$code" -eq "$1" ] || {
		echo "smoke: exit code $code instead of $1" >&2
		exit 1
	}
}

for program in "$@"; do
	: >filters
	send 0
	cmp given message
	cmp sent envelope

	printf '/bin/cat\n/bin/cat\n' >filters
	send 0
	cmp given message
	cmp sent envelope

	printf '/bin/cat\n%s/refuse\n' "$top" >filters
	send 82
	[ "$(cat reason)" = Dno ]
	[ ! -s envelope ]
	passed=$((passed + 3))
done

echo "$passed passed, 0 failed"
