# SPDX-License-Identifier: MIT
"""What qmail's programs look up of an address on this host, read from the same files in the same order.

qmail-smtpd(8): control/rcpthosts, morercpthosts.cdb, validrcptto.cdb and users/recipients.cdb. qmail-send(8): locals,
virtualdomains. qmail-lspawn(8): users/cdb, then the accounts of the host, then alias. qmail-local(8): dot-qmail files.
qmail-remote(8): smtproutes, smtproutes_auth and the lists of TLS. Nothing here knows what was declared.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from constant_database import records

LARGEST = 1 << 16  # bytes of a dot-qmail file
SMTP = 25
ACCOUNT_NAME_MOST = 32  # letters of an account's name, as qmail-lspawn takes it
HERE = ("localhost", "localhost.localdomain")  # RFC 6761, section 6.3

Lines = Callable[[str], Sequence[str]]


class LookupsError(Exception):
    """A file that the programs can't use either; the text says which."""


@dataclass(frozen=True)
class Account:
    """Who delivers a local part, and by which dot-qmail file of which home: `.qmail` + dash + ext."""

    user: str
    uid: int
    home: Path
    dash: str
    ext: str


@dataclass(frozen=True)
class Way:
    """How mail for a domain leaves the host. `key` is the line of smtproutes that says it, None without one."""

    key: str | None
    relay: str  # empty: by MX records
    port: int
    password: bool
    tls: str  # verify, required, never or offered


@dataclass(frozen=True)
class Instructions:
    """What becomes of a delivery: the file that says so, None where none is there, and its lines."""

    file: Path | None
    lines: list[str]


def wider(domain: str) -> Iterator[str]:
    """A domain, then .every.parent of it."""
    at = 0
    while at >= 0:
        yield domain[at:]
        at = domain.find(".", at + 1)


def keys(address: str) -> Iterator[str]:
    """What an address is found by in a table of qmail-newvrt(8)'s form: itself, its extensions, the whole domain."""
    local, _, domain = address.rpartition("@")
    yield address
    for cut in range(len(local), 0, -1):
        if local[cut - 1] in "+-":
            yield f"{local[:cut]}@{domain}"
    yield f"@{domain}"


def by_domain(table: Sequence[str], name: str) -> tuple[str, str] | None:
    """The line of a table for a domain, as key and value: its own, an ending's, or the one for everything."""
    said: dict[str, str] = {}
    for line in table:
        key, colon, value = line.partition(":")
        if colon:
            said.setdefault(key.lower(), value)
    return next(((key, said[key]) for key in [*wider(name), ""] if key in said), None)


def is_listed(names: Sequence[str], name: str) -> bool:
    """Is a domain, or an ending of it, in a list?"""
    there = {each.lower() for each in names}
    return any(key in there for key in wider(name))


def way(domain: str, lines: Lines) -> Way:
    """How mail for a domain leaves, as control files say whose lines are given."""
    found = by_domain(lines("smtproutes"), domain)
    key, (relay, port) = (found[0], _relay(found[1])) if found else (None, ("", SMTP))
    name = (relay or domain).lower()
    password = bool(relay) and any(_logs_in(line, name, port) for line in lines("smtproutes_auth"))

    def asks(file: str) -> bool:
        said = lines(file)
        return any(by_domain(said, each) or is_listed(said, each) for each in (name, domain))

    if password or asks("tlsverifyhosts"):
        tls = "verify"
    elif asks("tlsrequiredhosts"):
        tls = "required"
    else:
        tls = "never" if any(is_listed(lines("notlshosts"), each) for each in (name, domain)) else "offered"
    return Way(key, relay, port, password, tls)


def _relay(text: str, default: int = SMTP) -> tuple[str, int]:
    """RELAY, RELAY:PORT or [ADDRESS]:PORT."""
    host, _, port = text[1:].partition("]") if text.startswith("[") else text.partition(":")
    port = port.removeprefix(":")
    return host.removeprefix("IPv6:"), int(port) if port.isdigit() else default


def _logs_in(line: str, relay: str, port: int) -> bool:
    """Is a line of smtproutes_auth for this relay? Without a port it is for each."""
    host, own = _relay(line.split()[0], port)
    return (_address(host.lower()), own) == (_address(relay), port)


def _address(name: str) -> str:
    """A relay by its name, or the one form of its address."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


class Lookups:
    """The files of one host."""

    def __init__(self, home: Path) -> None:
        """Take the home of the suite; each file is read once."""
        self.home = home
        self._tables: dict[str, dict[bytes, bytes] | None] = {}
        self._lines: dict[str, list[str]] = {}

    # --- files ---

    def lines(self, name: str) -> list[str]:
        """The lines of a control file that count; none where it is not there."""
        if name not in self._lines:
            try:
                text = (self.home / "control" / name).read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                text = ""
            each = (line.rstrip(" \t\r") for line in text.split("\n"))
            self._lines[name] = [line for line in each if line and not line.startswith("#")]
        return self._lines[name]

    def table(self, file: str) -> dict[bytes, bytes] | None:
        """A constant database; None where it is not there."""
        if file not in self._tables:
            try:
                data = (self.home / file).read_bytes()
            except FileNotFoundError:
                self._tables[file] = None
            else:
                try:
                    self._tables[file] = dict(reversed([*records(data)]))  # of several with one key the first counts
                except struct.error:
                    raise LookupsError(f"{self.home / file} is not whole") from None
        return self._tables[file]

    # --- qmail-smtpd ---

    def receives(self, domain: str) -> bool:
        """Is mail for a domain accepted here at all?"""
        more = self.table("control/morercpthosts.cdb") or {}
        return is_listed(self.lines("rcpthosts"), domain) or any(key.encode() in more for key in wider(domain))

    def knows(self, address: str) -> bool:
        """Is there such a recipient? Without the table, each one is."""
        table = self.table("control/validrcptto.cdb")
        return table is None or any(key.encode() in table for key in keys(address))

    def words(self, address: str) -> dict[str, str]:
        """What else qmail-smtpd knows of a recipient, by its word: until, quota, list or spam."""
        table = self.table("users/recipients.cdb") or {}
        value = next((table[key.encode()] for key in keys(address) if key.encode() in table), b"")
        items = (item.decode(errors="replace") for item in value.split(b"\0") if item)
        return {word: rest for word, _, rest in (item.partition(" ") for item in items)}

    # --- qmail-send ---

    def local_part(self, address: str) -> str | None:
        """What is delivered on this host for an address; None where its mail leaves."""
        local, _, domain = address.rpartition("@")
        here = [line.lower() for line in self.lines("locals") or self.lines("me")]
        virtual: dict[str, str] = {}
        for line in self.lines("virtualdomains"):
            key, colon, prefix = line.partition(":")
            if colon:
                virtual.setdefault(key.lower(), prefix)
        if domain in here or (domain in HERE and address not in virtual and domain not in virtual):
            return local
        prefix = next((virtual[key] for key in [address, *wider(domain), ""] if key in virtual), "")
        return f"{prefix}-{local}" if prefix else None

    # --- qmail-lspawn ---

    def account(self, local: str) -> Account | None:
        """Who delivers a local part."""
        return self._assigned(local) or self._by_name(local)

    def _assigned(self, local: str) -> Account | None:
        table = self.table("users/cdb")
        if table is None:
            return None
        name = local.lower().encode()
        value, rest = table.get(b"=" + name), ""
        ends = table.get(b"", b"")
        for cut in range(len(name), -1, -1):
            if value is None and (not cut or name[cut - 1] in ends):
                value, rest = table.get(b"+" + name[:cut]), name[cut:].decode(errors="replace")
        if value is None:
            return None
        fields = value.decode(errors="replace").split("\0")
        if len(fields) != 7 or not fields[1].isdigit():
            raise LookupsError(f"{self.home}/users/cdb has no sense for {local}")
        return Account(fields[0], int(fields[1]), Path(fields[3]), fields[4], fields[5] + rest)

    def _by_name(self, local: str) -> Account | None:
        cuts = [len(local), *(at for at in range(len(local) - 1, -1, -1) if local[at] == "-")]
        for cut in cuts:
            if not 0 < cut <= ACCOUNT_NAME_MOST:
                continue
            entry = _owner_of_a_home(local[:cut].lower())
            if entry:
                dash = "-" if cut < len(local) else ""
                return Account(entry.pw_name, entry.pw_uid, Path(entry.pw_dir), dash, local[cut + 1 :])
        try:
            alias = pwd.getpwnam("alias")
        except KeyError:
            return None
        return Account("alias", alias.pw_uid, Path(alias.pw_dir), "-", local)

    # --- qmail-local ---

    def instructions(self, account: Account) -> Instructions | None:
        """What becomes of a delivery; None where nobody says it, and it comes back."""
        dash, ext = account.dash, account.ext.lower().replace(".", ":")
        if whole := not dash and ext.startswith("-"):
            # An extension of a user's that is his own where nothing is said of it (qmail-users(5)).
            dash, ext = "-", ext[1:]
        names = [f".qmail{dash}{ext}"]
        if dash:
            cuts = [at for at in range(len(ext), -1, -1) if not at or ext[at - 1] == "-"]
            names += [f".qmail{dash}{ext[:at]}default" for at in cuts]
        if whole:
            names.append(".qmail")
        for name in names:
            path = account.home / name
            if os.path.lexists(path):
                return Instructions(path, _instructions(path))
        return None if account.dash else Instructions(None, ["./Maildir/"])


def _owner_of_a_home(name: str) -> pwd.struct_passwd | None:
    """The account of a name, if it is one that mail is delivered to."""
    try:
        entry = pwd.getpwnam(name)
        return entry if entry.pw_uid and Path(entry.pw_dir).stat().st_uid == entry.pw_uid else None
    except (KeyError, OSError, ValueError):
        return None


def _instructions(path: Path) -> list[str]:
    """The lines of a dot-qmail file that say something."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    with os.fdopen(fd, "rb") as file:
        text = file.read(LARGEST).decode(errors="replace")
    lines = (line.rstrip(" \t\r") for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]
