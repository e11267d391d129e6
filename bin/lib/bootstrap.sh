# shellcheck shell=bash
# Sourced by the commands in bin/. It makes a machine ready for the Python that does the work: root rights, Debian
# packages, and a virtual environment made from the lock file. Each step looks first, so a ready machine pays nothing.

# What the programs say is read here, so it is in one language; Ansible wants UTF-8.
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=$root/.venv

# All talk goes to standard error; standard output belongs to the command's result.
say() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# need_root ARGS...: run the calling command again under sudo, unless we are root already.
need_root() {
	[ "$EUID" -ne 0 ] || return 0
	command -v sudo >/dev/null || die "containers and packages need root: run this as root, or install sudo"
	exec sudo --preserve-env=http_proxy,https_proxy,no_proxy,PIP_INDEX_URL,CI -- "$root/bin/${0##*/}" "$@"
}

# need_packages NAME...: install those Debian packages that are missing.
need_packages() {
	command -v apt-get >/dev/null || die "apt-get is missing: this needs Debian, or a system derived from it"
	local name missing=()
	for name; do
		[[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null) == ii* ]] || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing packages: ${missing[*]}"
	local log
	log=$(mktemp)
	local as_root=()
	[ "$EUID" -eq 0 ] || as_root=(sudo)
	if ! { "${as_root[@]}" apt-get -qq update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -y --no-install-recommends install "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		die "apt-get could not install the packages above (whole output: $log)"
	fi
	rm -f "$log"
}

# need_daemons NAME...: the same, of packages with daemons that tests start for themselves; the machine's own are not started,
# neither now nor with the machine.
need_daemons() {
	local name unit missing=() policy=/usr/sbin/policy-rc.d
	local as_root=()
	[ "$EUID" -eq 0 ] || as_root=(sudo)
	for name; do
		[[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null) == ii* ]] || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ -e "$policy" ]; then
		need_packages "${missing[@]}"
	else
		printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 0755 /dev/stdin "$policy"
		(need_packages "${missing[@]}") || { "${as_root[@]}" rm -f "$policy"; exit 1; }
		"${as_root[@]}" rm -f "$policy"
	fi
	[ -d /run/systemd/system ] || return 0
	for name in "${missing[@]}"; do
		# Most have none.
		dpkg-query -L "$name" | { grep -oE '[^/]*\.(service|timer)$' || :; } | while read -r unit; do
			"${as_root[@]}" systemctl disable --quiet "$unit" 2>/dev/null || :
		done
	done
}

# A Python that the lock file is made for, and that can make virtual environments: the same one whether or not .venv is
# activated, and never the one inside, which need_venv may be about to remove.
find_python() {
	local python PATH=:$PATH:
	while [[ $PATH == *:"$venv/bin":* ]]; do PATH=${PATH//:"$venv/bin":/:}; done
	PATH=${PATH#:} PATH=${PATH%:}
	for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
		if "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			command -v "$python"
			return 0
		fi
	done
	die "no Python 3.11 or newer with its venv module (Debian 12 and 13 have it as python3 and python3-venv)"
}

# need_venv LOCK: .venv, or another one that the variable venv names, holds exactly what the lock file says. The stamp is
# written last, so a broken install is made again.
need_venv() {
	local python stamp lock=$root/$1
	python=$(find_python)
	stamp=$("$python" -c 'import sys; print(sys.version)' | cat - "$lock" | sha256sum)
	mkdir -p "$root/.cache"
	exec 8>"$root/.cache/venv.lock"
	flock 8
	if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$stamp" ]; then
		say "making ${venv#"$root"/} from ${lock#"$root"/} with $("$python" --version)"
		rm -rf "$venv"
		"$python" -m venv "$venv"
		"$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: \
			--requirement "$lock" >&2 || die "pip could not install the locked packages"
		printf '%s\n' "$stamp" >"$venv/.stamp"
	fi
	exec 8>&-
	export PATH=$venv/bin:$PATH PYTHONPATH=$root/bin/lib:$root
}

# give_back: what a run under sudo wrote belongs to the user who asked for it.
give_back() {
	[ -z "${SUDO_UID:-}" ] || for path in "$root/.cache" "$root/.demo" "$root/bench" "$venv"; do
		[ ! -e "$path" ] || chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$path"
	done
}

# What it takes to start a Debian system in a container.
# shellcheck disable=SC2034 # the commands use it
container_packages=(python3-venv ca-certificates podman runc netavark aardvark-dns iptables mmdebstrap
	debian-archive-keyring openssh-client)
